# One training: a method and a seed. Its unfinished state is kept outside the declared outputs, which Snakemake
# deletes when a job fails, so a job that is run again goes on where it stopped.


rule train:
    input:
        lambda wc: data_folder(wc.experiment) / "card.json",
        lambda wc: data_folder(wc.experiment) / "train.npz",
    output:
        multiext(
            f"{P}/{{experiment}}/{{own}}/seed{{seed}}/",
            "weights.safetensors",
            "training.json",
        ),
    log:
        P / "{experiment}" / "{own}" / "seed{seed}" / "log" / "train.log",
    benchmark:
        P / "{experiment}" / "{own}" / "seed{seed}" / "log" / "train.benchmark.tsv"
    conda:
        CONDA_ENV
    threads: CFG.top.threads
    resources:
        gpu=CFG.top.gpu,
    params:
        settings=lambda wc: settings("train", wc.experiment, wc.own),
        method=lambda wc: found(wc.experiment, wc.own).path,
        code=lambda wc: code(
            "mmbench/train.py",
            f"mmbench/experiments/{wc.experiment}.py",
            found(wc.experiment, wc.own).path,
        ),
        data=lambda wc: data_folder(wc.experiment),
        out=subpath(output[0], parent=True),
    shell:
        'python -m mmbench.train --settings <(echo {params.settings:q}) --method "$MMBENCH/{params.method}"'
        " --data {params.data} --seed {wildcards.seed} --threads {threads}"
        " --state {params.out}/state --out {params.out} 2>&1 | tee {log}"
