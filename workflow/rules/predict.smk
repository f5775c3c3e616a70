# A trained method answers every case of its experiment. A method that declares WEIGHTS_FROM is not trained: it answers
# with the other method's weights of the same seed.


rule predict:
    input:
        lambda wc: data_folder(wc.experiment) / "card.json",
        tuned=lambda wc: tuned(wc.experiment, wc.own, wc.seed),
        cases=P / "{experiment}" / "cases.npz",
        weights=lambda wc: f"{P}/{wc.experiment}/{source(wc.experiment, wc.own)}/seed{wc.seed}/weights.safetensors",
    output:
        multiext(
            f"{P}/{{experiment}}/{{own}}/seed{{seed}}/",
            "predictions.npz",
            "predictions.json",
        ),
    log:
        P / "{experiment}" / "{own}" / "seed{seed}" / "log" / "predict.log",
    benchmark:
        P / "{experiment}" / "{own}" / "seed{seed}" / "log" / "predict.benchmark.tsv"
    conda:
        CONDA_ENV
    threads: CFG.top.threads
    resources:
        gpu=CFG.top.gpu,
    params:
        settings=lambda wc: settings("predict", wc.experiment, wc.own),
        method=lambda wc: found(wc.experiment, wc.own).path,
        code=lambda wc: code(
            "mmbench/predict.py",
            f"mmbench/experiments/{wc.experiment}.py",
            found(wc.experiment, wc.own).path,
        ),
        tuned=lambda wc, input: f"--tuned {input.tuned}" if input.tuned else "",
        data=lambda wc: data_folder(wc.experiment),
        cases=subpath(input.cases, parent=True),
        out=subpath(output[0], parent=True),
    shell:
        'python -m mmbench.predict --settings <(echo {params.settings:q}) --method "$MMBENCH/{params.method}"'
        " --weights {input.weights} --data {params.data} --cases {params.cases} {params.tuned} --seed {wildcards.seed}"
        " --threads {threads} --out {params.out} 2>&1 | tee {log}"
