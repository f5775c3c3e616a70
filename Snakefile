# mmbench: train, score and compare multimodal diffusion models. `snakemake --cores all` runs everything;
# `snakemake --cores all masking` runs one experiment. What happens in which order is in workflow/rules/.


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/lpips.smk"
include: "workflow/rules/efficientnet.smk"
include: "workflow/rules/cases.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/reference.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/cards.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/manifest.smk"
include: "workflow/rules/leaderboard.smk"


# Methods that live outside Python hand in predictions by a rule of their own.
for method in RUN.methods.external():

    include: method.path


# On a cluster, what no scheduler takes is not tried three times a job.
onstart:
    if workflow.executor_plugin.name == "slurm":
        try:
            check_jobs(workflow.dag.needrun_jobs())
        except UserError as error:
            sys.exit(f"error: {error}")


# With --keep-going a run does all that it can; what has no page then gets one that says whose time was up.
onerror:
    if command := PAGES.unfinished():
        shell("{command}")
        logger.error(f"what is scored so far: {P}/{UNFINISHED}/index.html")
    if refusal := refused_later(map(Path, log)):
        logger.error(f"error: {refusal}")


onsuccess:
    shutil.rmtree(P / UNFINISHED, ignore_errors=True)


rule all:
    default_target: True
    input:
        P / "index.html",
        P / "manifest.json",
        [RUN.cards(experiment) for experiment in RUN.config.experiments],


# `snakemake --cores all <experiment>`: one experiment's scores, and the page with what is there.
for experiment in RUN.config.experiments:

    rule:
        name:
            experiment
        input:
            RUN.scores(experiment),
            RUN.cards(experiment),
            f"{P}/only-{experiment}/index.html",
            f"{P}/only-{experiment}/manifest.json",


# `snakemake --cores all ablation`: what is on the axes under `ablations` in config/experiments/*.yaml.
rule ablation:
    input:
        [RUN.scores(name, PAGES.ablated(name)) for name in RUN.config.experiments],
        P / "ablation" / "index.html",
        P / "ablation" / "manifest.json",
