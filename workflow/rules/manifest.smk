# What a report's numbers were made with, and the hash of every file behind them.


rule manifest:
    input:
        lambda wc: reported_scores(wc.which),
        lambda wc: [P / name / "reference.json" for name in REPORTS[wc.which]],
        lambda wc: [path for name in REPORTS[wc.which] for path in cards(name)],
        f"{P}/{{which}}index.html",
    output:
        f"{P}/{{which}}manifest.json",
    log:
        f"{P}/log/{{which}}manifest.log",
    conda:
        CONDA_ENV
    params:
        code=code("mmbench/stages/manifest.py"),
        methods=lambda wc: reported_folders(wc.which),
        seeds=CFG.profile.seeds,
        results=P,
        out=subpath(output[0], parent=True),
        command=lambda wc: command(wc.which),
        configuration=lambda wc: json.dumps(CFG.described(list(REPORTS[wc.which]))),
    shell:
        "python -m mmbench.stages.manifest --results {params.results} --report {params.out} --methods {params.methods}"
        " --seeds {params.seeds} --command {params.command:q} --configuration <(echo {params.configuration:q})"
        " 2>&1 | tee {log}"
