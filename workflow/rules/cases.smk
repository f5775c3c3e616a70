# The frozen questions of each experiment, the same for every method.


rule cases:
    input:
        lambda wc: RUN.data(wc.experiment) / "card.json",
        lambda wc: RUN.data(wc.experiment) / "test.npz",
    output:
        multiext(f"{P}/{{experiment}}/", "cases.npz", "cases.json"),
    log:
        P / "{experiment}" / "log" / "cases.log",
    conda:
        CONDA_ENV
    resources:
        **RUN.runtime("cases"),
    params:
        settings=lambda wc: RUN.settings("cases", wc.experiment),
        code=lambda wc: RUN.code("cases", wc.experiment),
        data=lambda wc: RUN.data(wc.experiment),
        limit=lambda wc, output: RUN.limited("cases", Path(output[0]).parent),
        out=subpath(output[0], parent=True),
    shell:
        "{params.limit}python -m mmbench.stages.cases --settings <(echo {params.settings:q}) --data {params.data} --out {params.out} 2>&1 | tee {log}"
