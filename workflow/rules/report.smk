# Tables, figures and one page of everything scored; of one experiment; of the ablation.
REPORTS = {
    "": (CFG.experiments, ()),
    "ablation/": (
        CFG.experiments,
        tuple(v for e in CFG.experiments for v in all_variants(e)),
    ),
} | {f"only-{experiment}/": ([experiment], ()) for experiment in CFG.experiments}


def reported(which):
    """The experiments, methods and metrics.json files of a report."""
    experiments, variants = REPORTS[which]
    methods = sorted({m for e in experiments for m in scored(e, variants)})
    return (
        experiments,
        methods,
        [path for e in experiments for path in scores(e, variants)],
    )


rule report:
    input:
        lambda wc: reported(wc.which)[2],
        [P / experiment / "reference.json" for experiment in CFG.experiments],
    output:
        page=report(
            f"{P}/{{which}}index.html",
            caption="../report/page.rst",
            category="Report",
        ),
        tables=directory(f"{P}/{{which}}tables"),
        figures=directory(f"{P}/{{which}}figures"),
    log:
        f"{P}/log/{{which}}report.log",
    wildcard_constraints:
        which=one_of(REPORTS).replace("(?!)", "") + "|",
    conda:
        CONDA_ENV
    params:
        code=code("mmbench/report", "mmbench/statistics.py"),
        experiments=lambda wc: reported(wc.which)[0],
        methods=lambda wc: reported(wc.which)[1],
        seeds=CFG.profile.seeds,
        results=P,
        out=subpath(output.page, parent=True),
        command=f"snakemake --cores all --config profile={CFG.top.profile}",
    shell:
        "python -m mmbench.report --results {params.results} --out {params.out} --experiments {params.experiments}"
        " --methods {params.methods} --seeds {params.seeds} --command {params.command:q} 2>&1 | tee {log}"
