# `snakemake --cores 1 leaderboard`: the kept runs of results/reference compared on one page.


rule leaderboard:
    input:
        sorted(map(str, (ROOT / "results" / "reference").glob("*/manifest.json"))),
    output:
        page=f"{ROOT}/results/reference/index.html",
        scores=f"{ROOT}/results/reference/leaderboard.csv",
    log:
        f"{P}/log/leaderboard.log",
    conda:
        CONDA_ENV
    params:
        code=RUN.code("leaderboard"),
        runs=lambda wc, input: [str(Path(manifest).parent) for manifest in input],
        out=subpath(output.page, parent=True),
    shell:
        "python -m mmbench.stages.leaderboard --runs {params.runs:q} --out {params.out:q} 2>&1 | tee {log}"
