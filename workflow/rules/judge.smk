# The frozen judge of an experiment that has one: trained once on the real training split, whatever the seeds of the
# methods. It scores, and is in no table.


rule judge:
    input:
        lambda wc: RUN.data(wc.experiment) / "card.json",
        lambda wc: RUN.data(wc.experiment) / "train.npz",
        lambda wc: RUN.data(wc.experiment) / "validation.npz",
    output:
        multiext(f"{P}/{{experiment}}/judge/", "weights.safetensors", "training.json"),
    log:
        P / "{experiment}" / "judge" / "log" / "train.log",
    wildcard_constraints:
        experiment=one_of(RUN.judges),
    priority: 1
    conda:
        CONDA_ENV
    threads: TOP.threads * TOP.processes
    resources:
        **RUN.runtime("judge"),
        gpu=TOP.gpu * TOP.processes,
    params:
        settings=lambda wc: RUN.judge_settings(wc.experiment),
        code=lambda wc: RUN.code("judge", wc.experiment),
        data=lambda wc: RUN.data(wc.experiment),
        processes=lambda wc, output: RUN.processes_option(),
        limit=lambda wc, output: RUN.limited("judge", Path(output[0]).parent),
        out=subpath(output[0], parent=True),
    shell:
        "{params.limit}python -m mmbench.stages.judge --settings <(echo {params.settings:q}) --data {params.data} --threads {threads}"
        " {params.processes} --state {params.out}/state --out {params.out} 2>&1 | tee {log}"
