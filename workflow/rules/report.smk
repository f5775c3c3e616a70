# Tables, figures and one page of everything scored; of one experiment; of the ablation.


rule report:
    input:
        lambda wc: reported_scores(wc.which),
        lambda wc: [P / name / "reference.json" for name in REPORTS[wc.which]],
    output:
        page=report(
            f"{P}/{{which}}index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "everything in one file"},
        ),
        tables=report(
            directory(f"{P}/{{which}}tables"),
            # what the page shows; -long and -summary have a row for every number
            patterns=[r"{table,[\w@-]+(?<!-long)(?<!-summary)}.csv"],
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        figures=report(
            directory(f"{P}/{{which}}figures"),
            # charts as SVG; pictures are only there as PNG
            patterns=[
                "{figure}.svg",
                r"{figure,.+-(pictures|reconstructions|samples-.+|scenes|any-to-any-\d+|trajectory)}.png",
            ],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{P}/log/{{which}}report.log",
    conda:
        CONDA_ENV
    params:
        code=code("mmbench/stages/report.py", "mmbench/report", "mmbench/claims"),
        claims=code(CLAIMS),
        experiments=lambda wc: list(REPORTS[wc.which]),
        methods=lambda wc: reported_methods(wc.which),
        seeds=CFG.profile.seeds,
        snapshots=CFG.profile.snapshots,
        ablations=lambda wc: reported_ablations(wc.which),
        results=P,
        out=subpath(output.page, parent=True),
        command=lambda wc: command(wc.which),
    shell:
        "python -m mmbench.stages.report --results {params.results} --out {params.out} --experiments {params.experiments}"
        " --methods {params.methods} --seeds {params.seeds} --snapshots {params.snapshots}"
        ' --claims "$MMBENCH/config/claims.yaml" --ablations <(echo {params.ablations:q})'
        " --command {params.command:q} 2>&1 | tee {log}"
