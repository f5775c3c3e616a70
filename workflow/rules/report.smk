# Tables, figures and one page of everything scored; of one experiment; of the ablation.


rule report:
    input:
        lambda wc: reported_scores(wc.which),
        lambda wc: [P / name / "reference.json" for name in REPORTS[wc.which][0]],
    output:
        page=report(
            f"{P}/{{which}}index.html",
            caption="../report/page.rst",
            category="Report",
        ),
        tables=directory(f"{P}/{{which}}tables"),
        figures=directory(f"{P}/{{which}}figures"),
    log:
        f"{P}/log/{{which}}report.log",
    conda:
        CONDA_ENV
    params:
        code=code("mmbench/report", "mmbench/verdicts/assess.py"),
        claims=code(CLAIMS),
        experiments=lambda wc: REPORTS[wc.which][0],
        methods=lambda wc: reported_methods(wc.which),
        seeds=CFG.profile.seeds,
        snapshots=CFG.profile.snapshots,
        results=P,
        out=subpath(output.page, parent=True),
        command=lambda wc: command(wc.which),
    shell:
        "python -m mmbench.report --results {params.results} --out {params.out} --experiments {params.experiments}"
        " --methods {params.methods} --seeds {params.seeds} --snapshots {params.snapshots} --command {params.command:q}"
        ' --claims "$MMBENCH/config/claims.yaml" 2>&1 | tee {log}'
