# EfficientNet-Lite0, where a profile's `evaluate.features` or an experiment's `extractor` names it.


rule efficientnet:
    output:
        multiext(f"{WEIGHTS}/efficientnet-lite0.", "safetensors", "json"),
    log:
        WEIGHTS / "efficientnet-lite0.log",
    priority: 1
    conda:
        CONDA_ENV
    resources:
        **RUN.runtime("efficientnet"),
    params:
        code=RUN.code("efficientnet"),
        limit=lambda wc, output: RUN.limited("efficientnet", Path(output[0]).parent),
        out=subpath(output[0], parent=True),
    shell:
        "{params.limit}python -m mmbench.stages.efficientnet --out {params.out} 2>&1 | tee {log}"
