# A trained method answers every case of its experiment. A method that declares WEIGHTS_FROM is not trained: it answers
# with the other method's weights of the same seed. A snapshot answers with the settings that the whole training chose.


rule predict:
    input:
        lambda wc: RUN.data(wc.experiment) / "card.json",
        tuned=lambda wc: RUN.tuned(wc.experiment, wc.method, wc.seed),
        cases=P / "{experiment}" / "cases.npz",
        weights=lambda wc: RUN.source(wc.experiment, wc.method, wc.seed, wc.at)
        + "weights.safetensors",
    output:
        multiext(SEED_DIR, "predictions.npz", "predictions.json", "trajectory.npz"),
    log:
        f"{SEED_DIR}log/predict.log",
    benchmark:
        f"{SEED_DIR}log/predict.benchmark.tsv"
    wildcard_constraints:
        method=one_of(RUN.methods.asked()),
    conda:
        CONDA_ENV
    threads: TOP.threads
    resources:
        **RUN.runtime("predict"),
        gpu=TOP.gpu,
    params:
        settings=lambda wc: RUN.settings("predict", wc.experiment, wc.method),
        method=lambda wc: RUN.method(wc.experiment, wc.method),
        code=lambda wc: RUN.code("predict", wc.experiment, wc.method),
        tuned=lambda wc, input: f"--tuned {input.tuned}" if input.tuned else "",
        data=lambda wc: RUN.data(wc.experiment),
        cases=subpath(input.cases, parent=True),
        limit=lambda wc, output: RUN.limited(
            "predict", Path(output[0]).parent, wc.method
        ),
        out=subpath(output[0], parent=True),
    shell:
        '{params.limit}python -m mmbench.stages.predict --settings <(echo {params.settings:q}) --method "$MMBENCH/{params.method}"'
        " --weights {input.weights} --data {params.data} --cases {params.cases} {params.tuned} --seed {wildcards.seed}"
        " --threads {threads} --out {params.out} 2>&1 | tee {log}"
