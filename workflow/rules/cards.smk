# What the data and the models are, in words beside them: README.md, in the form that model hubs show. They are written
# apart from what they describe, so that a change of their words trains and scores nothing.


rule cards_data:
    input:
        P / "{prepared}" / "card.json",
    output:
        P / "{prepared}" / "README.md",
    log:
        P / "log" / "{prepared}-card.log",
    conda:
        CONDA_ENV
    params:
        code=RUN.code("cards"),
        folder=subpath(output[0], parent=True),
    shell:
        "python -m mmbench.stages.cards {params.folder} 2>&1 | tee {log}"


# One job for all models of an experiment: starting Python takes longer than writing a card.
for experiment in RUN.config.experiments:

    rule:
        name:
            f"cards_{experiment}"
        input:
            RUN.scores(experiment),
        output:
            RUN.model_cards(experiment),
        log:
            P / experiment / "log" / "cards.log",
        conda:
            CONDA_ENV
        params:
            code=RUN.code("cards"),
            folders=[str(Path(path).parent) for path in RUN.model_cards(experiment)],
        shell:
            "python -m mmbench.stages.cards {params.folders} 2>&1 | tee {log}"
