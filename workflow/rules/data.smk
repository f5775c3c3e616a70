# The data set's splits, the true LPIPS networks, and each experiment's frozen questions.


rule data:
    output:
        multiext(f"{P}/data/", "train.npz", "validation.npz", "test.npz", "card.json"),
    log:
        P / "log" / "data.log",
    benchmark:
        P / "log" / "data.benchmark.tsv"
    conda:
        CONDA_ENV
    params:
        settings=RUN.settings("data"),
        code=RUN.code("data"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m mmbench.stages.data --settings <(echo {params.settings:q}) --out {params.out} 2>&1 | tee {log}"


# Before hours of training: what needs the network should fail at once, if it does.
rule lpips:
    output:
        multiext(
            f"{WEIGHTS}/",
            "lpips-alex.safetensors",
            "lpips-vgg.safetensors",
            "weights.json",
        ),
    log:
        WEIGHTS / "weights.log",
    priority: 1
    conda:
        CONDA_ENV
    params:
        code=RUN.code("lpips"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m mmbench.stages.lpips --out {params.out} 2>&1 | tee {log}"


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
    params:
        settings=lambda wc: RUN.settings("cases", wc.experiment),
        code=lambda wc: RUN.code("cases", wc.experiment),
        data=lambda wc: RUN.data(wc.experiment),
        out=subpath(output[0], parent=True),
    shell:
        "python -m mmbench.stages.cases --settings <(echo {params.settings:q}) --data {params.data} --out {params.out} 2>&1 | tee {log}"
