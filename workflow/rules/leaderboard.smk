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
        code=RUN.code("report"),
        out=subpath(output.page, parent=True),
    shell:
        'runs=(); for manifest in {input:q}; do runs+=("$(dirname "$manifest")"); done; '
        'python -m mmbench leaderboard "${{runs[@]}}" --out {params.out:q} 2>&1 | tee {log}'
