# One training: a method and a seed. Its unfinished state is kept outside the declared outputs, which Snakemake
# deletes when a job fails, so a job that is run again goes on where it stopped. A snapshot is a training that ends early:
# its weights are those that the whole training has kept, if it was told to. What to keep is a param of `output`, which
# Snakemake leaves out of what reruns a job: a finished training is not repeated for a snapshot, only its beginning is.
# So is the number of processes, on which nothing that is learnt depends.


rule train:
    input:
        lambda wc: RUN.data(wc.experiment) / "card.json",
        lambda wc: RUN.data(wc.experiment) / "train.npz",
        lambda wc: RUN.data(wc.experiment) / "validation.npz",
        lambda wc: (
            [f"{RUN.seed(wc.experiment, wc.method, wc.seed)}training.json"]
            if wc.at
            else []
        ),
    output:
        multiext(SEED_DIR, "weights.safetensors", "training.json"),
    log:
        f"{SEED_DIR}log/train.log",
    benchmark:
        f"{SEED_DIR}log/train.benchmark.tsv"
    wildcard_constraints:
        method=one_of(RUN.methods.asked()),
    conda:
        CONDA_ENV
    threads: TOP.threads * TOP.processes
    resources:
        **RUN.runtime("train"),
        gpu=TOP.gpu * TOP.processes,
    params:
        settings=lambda wc: RUN.settings("train", wc.experiment, wc.method),
        method=lambda wc: RUN.method(wc.experiment, wc.method),
        code=lambda wc: RUN.code("train", wc.experiment, wc.method),
        data=lambda wc: RUN.data(wc.experiment),
        until=lambda wc: RUN.until_option(wc.experiment, wc.method, wc.seed, wc.at),
        keep=lambda wc, output: (
            "" if wc.at else RUN.keep_option(wc.experiment, wc.method)
        ),
        processes=lambda wc, output: RUN.processes_option(
            RUN.methods(wc.experiment, wc.method).trained
        ),
        limit=lambda wc, output: RUN.limited("train", Path(output[0]).parent, wc.method),
        out=subpath(output[0], parent=True),
    shell:
        '{params.limit}python -m mmbench.stages.train --settings <(echo {params.settings:q}) --method "$MMBENCH/{params.method}"'
        " --data {params.data} --seed {wildcards.seed} --threads {threads} {params.until} {params.keep}"
        " {params.processes} --state {params.out}/state --out {params.out} 2>&1 | tee {log}"
