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
        settings=settings("data"),
        code=code("mmbench/stages/data.py", f"mmbench/data/{CFG.profile.data.name}.py"),
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
        code=code("mmbench/stages/lpips.py", "mmbench/frozen/lpips-trunk.lock"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m mmbench.stages.lpips --out {params.out} 2>&1 | tee {log}"


rule cases:
    input:
        lambda wc: data_folder(wc.experiment) / "card.json",
        lambda wc: data_folder(wc.experiment) / "test.npz",
    output:
        multiext(f"{P}/{{experiment}}/", "cases.npz", "cases.json"),
    log:
        P / "{experiment}" / "log" / "cases.log",
    conda:
        CONDA_ENV
    params:
        settings=lambda wc: settings("cases", wc.experiment),
        code=lambda wc: code(
            "mmbench/stages/cases.py", f"mmbench/experiments/{wc.experiment}/tasks.py"
        ),
        data=lambda wc: data_folder(wc.experiment),
        out=subpath(output[0], parent=True),
    shell:
        "python -m mmbench.stages.cases --settings <(echo {params.settings:q}) --data {params.data} --out {params.out} 2>&1 | tee {log}"
