# Settings that a method's file wants chosen on the validation split (its TUNE), between training and prediction.


rule tune:
    input:
        rules.lpips.output,
        lambda wc: data_folder(wc.experiment) / "validation.npz",
        lambda wc: data_folder(wc.experiment) / "card.json",
        lambda wc: judge_weights(wc.experiment),
        weights=lambda wc: f"{P}/{wc.experiment}/{source(wc.experiment, wc.own)}/seed{wc.seed}/weights.safetensors",
    output:
        f"{P}/{{experiment}}/{{own}}/seed{{seed}}/tuned.json",
    log:
        P / "{experiment}" / "{own}" / "seed{seed}" / "log" / "tune.log",
    conda:
        CONDA_ENV
    threads: CFG.top.threads
    resources:
        gpu=CFG.top.gpu,
    params:
        settings=lambda wc: settings("tune", wc.experiment, wc.own),
        method=lambda wc: found(wc.experiment, wc.own).path,
        code=lambda wc: code(
            "mmbench/stages/tune.py",
            f"mmbench/experiments/{wc.experiment}/tasks.py",
            f"mmbench/experiments/{wc.experiment}/scores.py",
            found(wc.experiment, wc.own).path,
            *judge_code(wc.experiment),
        ),
        data=lambda wc: data_folder(wc.experiment),
        lpips=WEIGHTS,
        judge=lambda wc: judge_option(wc.experiment),
        out=subpath(output[0], parent=True),
    shell:
        'python -m mmbench.stages.tune --settings <(echo {params.settings:q}) --method "$MMBENCH/{params.method}"'
        " --weights {input.weights} --lpips {params.lpips} --data {params.data} {params.judge} --seed {wildcards.seed}"
        " --threads {threads} --out {params.out} 2>&1 | tee {log}"
