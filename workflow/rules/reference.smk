# Scores of the real data against itself: the floor of those of drawn images.


rule reference:
    input:
        rules.lpips.output,
        lambda wc: RUN.features(),
        lambda wc: [RUN.data(wc.experiment) / name for name in PREPARED],
        lambda wc: RUN.judge(wc.experiment),
    output:
        multiext(f"{P}/{{experiment}}/", "reference.npz", "reference.json"),
    log:
        P / "{experiment}" / "log" / "reference.log",
    conda:
        CONDA_ENV
    threads: TOP.threads
    resources:
        **RUN.runtime("reference"),
        gpu=TOP.gpu,
    params:
        settings=lambda wc: RUN.settings("reference", wc.experiment),
        code=lambda wc: RUN.code("reference", wc.experiment),
        data=lambda wc: RUN.data(wc.experiment),
        weights=WEIGHTS,
        cache=P / "cache",
        judge=lambda wc: RUN.judge_option(wc.experiment),
        limit=lambda wc, output: RUN.limited("reference", Path(output[0]).parent),
        out=subpath(output[0], parent=True),
    shell:
        "{params.limit}python -m mmbench.stages.reference --settings <(echo {params.settings:q}) --weights {params.weights} --data {params.data}"
        " {params.judge} --cache {params.cache} --threads {threads} --out {params.out} 2>&1 | tee {log}"
