# Settings that a method's file wants chosen on the validation split (its TUNE), between training and prediction.


rule tune:
    input:
        rules.lpips.output,
        lambda wc: RUN.features(1),
        lambda wc: RUN.data(wc.experiment) / "validation.npz",
        lambda wc: RUN.data(wc.experiment) / "card.json",
        lambda wc: RUN.judge(wc.experiment),
        weights=lambda wc: RUN.source(wc.experiment, wc.method, wc.seed)
        + "weights.safetensors",
    output:
        f"{P}/{{experiment}}/{{method}}/seed{{seed}}/tuned.json",
    log:
        P / "{experiment}" / "{method}" / "seed{seed}" / "log" / "tune.log",
    wildcard_constraints:
        method=one_of(RUN.methods.asked()),
    conda:
        CONDA_ENV
    threads: TOP.threads
    resources:
        **RUN.runtime("tune"),
        gpu=TOP.gpu,
    params:
        settings=lambda wc: RUN.settings("tune", wc.experiment, wc.method),
        method=lambda wc: RUN.method(wc.experiment, wc.method),
        code=lambda wc: RUN.code("tune", wc.experiment, wc.method),
        data=lambda wc: RUN.data(wc.experiment),
        lpips=WEIGHTS,
        judge=lambda wc: RUN.judge_option(wc.experiment),
        limit=lambda wc, output: RUN.limited("tune", Path(output[0]).parent, wc.method),
        out=subpath(output[0], parent=True),
    shell:
        '{params.limit}python -m mmbench.stages.tune --settings <(echo {params.settings:q}) --method "$MMBENCH/{params.method}"'
        " --weights {input.weights} --lpips {params.lpips} --data {params.data} {params.judge} --seed {wildcards.seed}"
        " --threads {threads} --out {params.out} 2>&1 | tee {log}"
