# The true LPIPS networks, before hours of training: what needs the network should fail at once, if it does.


rule lpips:
    output:
        multiext(
            f"{WEIGHTS}/",
            "lpips-alex.safetensors",
            "lpips-vgg.safetensors",
            "weights.json",
        ),
    log:
        WEIGHTS / "weights.log",
    priority: 1
    conda:
        CONDA_ENV
    resources:
        **RUN.runtime("lpips"),
    params:
        code=RUN.code("lpips"),
        limit=lambda wc, output: RUN.limited("lpips", Path(output[0]).parent),
        out=subpath(output[0], parent=True),
    shell:
        "{params.limit}python -m mmbench.stages.lpips --out {params.out} 2>&1 | tee {log}"
