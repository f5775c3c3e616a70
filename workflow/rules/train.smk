# One training: a method and a seed. Its unfinished state is kept outside the declared outputs, which Snakemake
# deletes when a job fails, so a job that is run again goes on where it stopped. A snapshot is a training that ends early:
# its weights are those that the whole training has kept, if it was told to. What to keep is a param of `output`, which
# Snakemake leaves out of what reruns a job: a finished training is not repeated for a snapshot, only its beginning is.
# So is the number of processes, on which nothing that is learnt depends.


rule train:
    input:
        lambda wc: data_folder(wc.experiment) / "card.json",
        lambda wc: data_folder(wc.experiment) / "train.npz",
        lambda wc: [f"{seed_dir(wc)}/training.json"] if wc.at else [],
    output:
        multiext(OWN_DIR, "weights.safetensors", "training.json"),
    log:
        f"{OWN_DIR}log/train.log",
    benchmark:
        f"{OWN_DIR}log/train.benchmark.tsv"
    conda:
        CONDA_ENV
    threads: CFG.top.threads * CFG.top.processes
    resources:
        gpu=CFG.top.gpu * CFG.top.processes,
    params:
        settings=lambda wc: settings("train", wc.experiment, wc.own),
        method=lambda wc: found(wc.experiment, wc.own).path,
        code=lambda wc: code(
            "mmbench/stages/train.py",
            f"mmbench/experiments/{wc.experiment}/tasks.py",
            found(wc.experiment, wc.own).path,
        ),
        data=lambda wc: data_folder(wc.experiment),
        until=until_option,
        keep=lambda wc, output: "" if wc.at else keep_option(wc.experiment, wc.own),
        processes=lambda wc, output: processes_option(
            found(wc.experiment, wc.own).trained
        ),
        out=subpath(output[0], parent=True),
    shell:
        'python -m mmbench.stages.train --settings <(echo {params.settings:q}) --method "$MMBENCH/{params.method}"'
        " --data {params.data} --seed {wildcards.seed} --threads {threads} {params.until} {params.keep}"
        " {params.processes} --state {params.out}/state --out {params.out} 2>&1 | tee {log}"
