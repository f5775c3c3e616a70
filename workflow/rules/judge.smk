# The frozen judge of an experiment that has one: trained once on the real training split, whatever the seeds of the
# methods. It scores, and is in no table.


rule judge:
    input:
        lambda wc: data_folder(wc.judged) / "card.json",
        lambda wc: data_folder(wc.judged) / "train.npz",
    output:
        multiext(f"{P}/{{judged}}/judge/", "weights.safetensors", "training.json"),
    log:
        P / "{judged}" / "judge" / "log" / "train.log",
    priority: 1
    conda:
        CONDA_ENV
    threads: CFG.top.threads * CFG.top.processes
    resources:
        gpu=CFG.top.gpu * CFG.top.processes,
    params:
        settings=lambda wc: judge_settings(wc.judged),
        method=lambda wc: JUDGES[wc.judged],
        code=lambda wc: code(
            "mmbench/stages/train.py",
            f"mmbench/experiments/{wc.judged}/tasks.py",
            JUDGES[wc.judged],
        ),
        data=lambda wc: data_folder(wc.judged),
        seed=JUDGE_SEED,
        processes=lambda wc, output: processes_option(),
        out=subpath(output[0], parent=True),
    shell:
        'python -m mmbench.stages.train --settings <(echo {params.settings:q}) --method "$MMBENCH/{params.method}"'
        " --data {params.data} --seed {params.seed} --threads {threads} {params.processes}"
        " --state {params.out}/state --out {params.out} 2>&1 | tee {log}"
