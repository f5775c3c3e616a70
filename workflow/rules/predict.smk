# A trained method answers every case of its experiment. A method that declares WEIGHTS_FROM is not trained: it answers
# with the other method's weights of the same seed. A snapshot answers with the settings that the whole training chose.


rule predict:
    input:
        lambda wc: data_folder(wc.experiment) / "card.json",
        tuned=lambda wc: tuned(wc.experiment, wc.own, wc.seed),
        cases=P / "{experiment}" / "cases.npz",
        weights=lambda wc: f"{source_dir(wc)}weights.safetensors",
    output:
        multiext(OWN_DIR, "predictions.npz", "predictions.json", "trajectory.npz"),
    log:
        f"{OWN_DIR}log/predict.log",
    benchmark:
        f"{OWN_DIR}log/predict.benchmark.tsv"
    conda:
        CONDA_ENV
    threads: CFG.top.threads
    resources:
        gpu=CFG.top.gpu,
    params:
        settings=lambda wc: settings("predict", wc.experiment, wc.own),
        method=lambda wc: found(wc.experiment, wc.own).path,
        code=lambda wc: code(
            "mmbench/stages/predict.py",
            f"mmbench/experiments/{wc.experiment}/tasks.py",
            found(wc.experiment, wc.own).path,
        ),
        tuned=lambda wc, input: f"--tuned {input.tuned}" if input.tuned else "",
        data=lambda wc: data_folder(wc.experiment),
        cases=subpath(input.cases, parent=True),
        out=subpath(output[0], parent=True),
    shell:
        'python -m mmbench.stages.predict --settings <(echo {params.settings:q}) --method "$MMBENCH/{params.method}"'
        " --weights {input.weights} --data {params.data} --cases {params.cases} {params.tuned} --seed {wildcards.seed}"
        " --threads {threads} --out {params.out} 2>&1 | tee {log}"
