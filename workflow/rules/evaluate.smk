# Scores of every method's predictions. No checkpoint is needed.


rule evaluate:
    input:
        rules.lpips.output,
        lambda wc: RUN.features(),
        lambda wc: RUN.data(wc.experiment) / "card.json",
        lambda wc: RUN.judge(wc.experiment),
        cases=P / "{experiment}" / "cases.npz",
        reference=P / "{experiment}" / "reference.npz",
        predictions=f"{SEED_DIR}predictions.npz",
    output:
        multiext(SEED_DIR, "metrics.json", "items.csv"),
    log:
        f"{SEED_DIR}log/evaluate.log",
    conda:
        CONDA_ENV
    threads: TOP.threads
    resources:
        **RUN.runtime("evaluate"),
        gpu=TOP.gpu,
    params:
        settings=lambda wc: RUN.settings("evaluate", wc.experiment),
        code=lambda wc: RUN.code("evaluate", wc.experiment),
        data=lambda wc: RUN.data(wc.experiment),
        weights=WEIGHTS,
        cache=P / "cache",
        judge=lambda wc: RUN.judge_option(wc.experiment),
        cases=subpath(input.cases, parent=True),
        tasks=lambda wc: RUN.methods(wc.experiment, wc.method).tasks,
        answers=lambda wc: RUN.answers_option(wc.experiment, wc.method),
        title=lambda wc: RUN.title(wc.experiment, wc.method),
        training=lambda wc: RUN.source(wc.experiment, wc.method, wc.seed, wc.at)
        + "training.json",
        limit=lambda wc, output: RUN.limited(
            "evaluate", Path(output[0]).parent, wc.method
        ),
        out=subpath(output[0], parent=True),
    shell:
        "{params.limit}python -m mmbench.stages.evaluate --settings <(echo {params.settings:q}) --weights {params.weights} --data {params.data}"
        " --cases {params.cases} --reference {input.reference} --predictions {params.out}"
        " --training {params.training} --method {wildcards.method} --title {params.title:q}"
        " {params.judge} --seed {wildcards.seed} --tasks {params.tasks} {params.answers} --cache {params.cache}"
        " --threads {threads} --out {params.out} 2>&1 | tee {log}"
