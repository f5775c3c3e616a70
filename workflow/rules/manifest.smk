# What a report's numbers were made with, and the hash of every file behind them.


rule manifest:
    input:
        lambda wc: PAGES.scores(wc.page),
        lambda wc: PAGES.references(wc.page),
        lambda wc: PAGES.cards(wc.page),
        f"{P}/{{page}}index.html",
    output:
        f"{P}/{{page}}manifest.json",
    log:
        f"{P}/log/{{page}}manifest.log",
    conda:
        CONDA_ENV
    params:
        code=RUN.code("manifest"),
        methods=lambda wc: PAGES.folders(wc.page),
        seeds=RUN.config.profile.seeds,
        results=P,
        out=subpath(output[0], parent=True),
        command=lambda wc: PAGES.command(wc.page),
        configuration=lambda wc: PAGES.configuration(wc.page),
    shell:
        "python -m mmbench.stages.manifest --results {params.results} --report {params.out} --methods {params.methods}"
        " --seeds {params.seeds} --command {params.command:q} --configuration <(echo {params.configuration:q})"
        " 2>&1 | tee {log}"
