# The data set's splits.


rule data:
    output:
        multiext(f"{P}/data/", "train.npz", "validation.npz", "test.npz", "card.json"),
    log:
        P / "log" / "data.log",
    benchmark:
        P / "log" / "data.benchmark.tsv"
    conda:
        CONDA_ENV
    resources:
        **RUN.runtime("data"),
    params:
        settings=RUN.settings("data"),
        code=RUN.code("data"),
        limit=lambda wc, output: RUN.limited("data", Path(output[0]).parent),
        out=subpath(output[0], parent=True),
    shell:
        "{params.limit}python -m mmbench.stages.data --settings <(echo {params.settings:q}) --out {params.out} 2>&1 | tee {log}"
