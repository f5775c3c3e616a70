# mmbench: train, score and compare multimodal diffusion models. `snakemake --cores all` runs everything;
# `snakemake --cores all masking` runs one experiment. What happens in which order is in workflow/rules/.


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/cards.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/manifest.smk"


# Methods that live outside Python hand in predictions by a rule of their own.
for method in external_methods():

    include: method.path


rule all:
    default_target: True
    input:
        P / "index.html",
        P / "manifest.json",
        [cards(experiment) for experiment in CFG.experiments],


# `snakemake --cores all <experiment>`: one experiment's scores, and the page with what is there.
for experiment in CFG.experiments:

    rule:
        name:
            experiment
        input:
            scores(experiment),
            cards(experiment),
            f"{P}/only-{experiment}/index.html",
            f"{P}/only-{experiment}/manifest.json",


# `snakemake --cores all ablation`: what is on the axes under `ablations` in config/experiments/*.yaml.
rule ablation:
    input:
        [scores(experiment, ablated(experiment)) for experiment in CFG.experiments],
        P / "ablation" / "index.html",
        P / "ablation" / "manifest.json",
