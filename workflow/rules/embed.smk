# The data with an embedding of every image beside it, for the experiments whose configuration names an extractor.


rule embed:
    input:
        rules.data.output,
        rules.lpips.output,
        lambda wc: RUN.embedder(wc.extractor),
    output:
        multiext(
            f"{P}/embedded/{{extractor}}/",
            "train.npz",
            "validation.npz",
            "test.npz",
            "scaling.npz",
            "card.json",
        ),
    log:
        P / "log" / "embed-{extractor}.log",
    conda:
        CONDA_ENV
    threads: TOP.threads
    resources:
        **RUN.runtime("embed"),
        gpu=TOP.gpu,
    params:
        code=RUN.code("embed"),
        data=P / "data",
        weights=WEIGHTS,
        limit=lambda wc, output: RUN.limited("embed", Path(output[0]).parent),
        out=subpath(output[0], parent=True),
    shell:
        "{params.limit}python -m mmbench.stages.embed --extractor {wildcards.extractor} --weights {params.weights} --data {params.data}"
        " --threads {threads} --out {params.out} 2>&1 | tee {log}"
