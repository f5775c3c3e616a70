# Tables, figures and one page of everything scored; of one experiment; of the ablation.


rule report:
    input:
        lambda wc: PAGES.scores(wc.page),
        lambda wc: PAGES.references(wc.page),
    output:
        page=report(
            f"{P}/{{page}}index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "everything in one file"},
        ),
        tables=report(
            directory(f"{P}/{{page}}tables"),
            # what the page shows; -long and -summary have a row for every number
            patterns=[r"{table,[\w@-]+(?<!-long)(?<!-summary)}.csv"],
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        figures=report(
            directory(f"{P}/{{page}}figures"),
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
        f"{P}/log/{{page}}report.log",
    conda:
        CONDA_ENV
    params:
        code=RUN.code("report"),
        claims=RUN.code("claims"),
        experiments=lambda wc: PAGES.experiments(wc.page),
        methods=lambda wc: PAGES.methods(wc.page),
        seeds=RUN.config.profile.seeds,
        snapshots=[*RUN.config.profile.snapshots, 1],  # 1 is the end of a training
        ablations=lambda wc: PAGES.ablations(wc.page),
        results=P,
        out=subpath(output.page, parent=True),
        command=lambda wc: PAGES.command(wc.page),
    shell:
        "python -m mmbench.stages.report --results {params.results} --out {params.out} --experiments {params.experiments}"
        " --methods {params.methods} --seeds {params.seeds} --snapshots {params.snapshots}"
        ' --claims "$MMBENCH/config/claims.yaml" --ablations <(echo {params.ablations:q})'
        " --command {params.command:q} 2>&1 | tee {log}"
