# Scores: of the real data against itself (the floor), and of every method's predictions. No checkpoint is needed.


rule reference:
    input:
        rules.lpips.output,
        lambda wc: [data_folder(wc.experiment) / name for name in PREPARED],
        lambda wc: judge_weights(wc.experiment),
    output:
        multiext(f"{P}/{{experiment}}/", "reference.npz", "reference.json"),
    log:
        P / "{experiment}" / "log" / "reference.log",
    conda:
        CONDA_ENV
    threads: CFG.top.threads
    resources:
        gpu=CFG.top.gpu,
    params:
        settings=lambda wc: settings("reference", wc.experiment),
        code=lambda wc: code(
            "mmbench/stages/reference.py",
            f"mmbench/experiments/{wc.experiment}/tasks.py",
            f"mmbench/experiments/{wc.experiment}/scores.py",
            *judge_code(wc.experiment),
        ),
        data=lambda wc: data_folder(wc.experiment),
        weights=WEIGHTS,
        cache=P / "cache",
        judge=lambda wc: judge_option(wc.experiment),
        out=subpath(output[0], parent=True),
    shell:
        "python -m mmbench.stages.reference --settings <(echo {params.settings:q}) --weights {params.weights} --data {params.data}"
        " {params.judge} --cache {params.cache} --threads {threads} --out {params.out} 2>&1 | tee {log}"


rule evaluate:
    input:
        rules.lpips.output,
        lambda wc: data_folder(wc.experiment) / "card.json",
        lambda wc: judge_weights(wc.experiment),
        cases=P / "{experiment}" / "cases.npz",
        reference=P / "{experiment}" / "reference.npz",
        predictions=f"{SEED_DIR}predictions.npz",
    output:
        multiext(SEED_DIR, "metrics.json", "items.csv"),
    log:
        f"{SEED_DIR}log/evaluate.log",
    conda:
        CONDA_ENV
    threads: CFG.top.threads
    resources:
        gpu=CFG.top.gpu,
    params:
        settings=lambda wc: settings("evaluate", wc.experiment),
        code=lambda wc: code(
            "mmbench/stages/evaluate.py",
            f"mmbench/experiments/{wc.experiment}/tasks.py",
            f"mmbench/experiments/{wc.experiment}/scores.py",
            *judge_code(wc.experiment),
        ),
        data=lambda wc: data_folder(wc.experiment),
        weights=WEIGHTS,
        cache=P / "cache",
        judge=lambda wc: judge_option(wc.experiment),
        cases=subpath(input.cases, parent=True),
        tasks=lambda wc: found(wc.experiment, wc.method).tasks,
        answers=lambda wc: answers_option(wc.experiment, wc.method),
        title=lambda wc: CFG.title(
            wc.experiment, wc.method, found(wc.experiment, wc.method).title
        ),
        training=lambda wc: f"{P}/{wc.experiment}/{source(wc.experiment, wc.method)}/seed{wc.seed}/{wc.at}training.json",
        out=subpath(output[0], parent=True),
    shell:
        "python -m mmbench.stages.evaluate --settings <(echo {params.settings:q}) --weights {params.weights} --data {params.data}"
        " --cases {params.cases} --reference {input.reference} --predictions {params.out}"
        " --training {params.training} --method {wildcards.method} --title {params.title:q}"
        " {params.judge} --seed {wildcards.seed} --tasks {params.tasks} {params.answers} --cache {params.cache}"
        " --threads {threads} --out {params.out} 2>&1 | tee {log}"
