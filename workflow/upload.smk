# Puts a finished run into cloud storage, file by file; what is there and has not changed is left alone (docs/cluster.md).
# snakemake --snakefile workflow/upload.smk --cores 4 --config run=results/quick to=s3://my-bucket/mmbench/quick
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir).parent))

from mmbench.errors import UserError  # noqa: E402
from mmbench.runs.manifest import NAME, read_manifest  # noqa: E402
from mmbench.runs.verify import check_files  # noqa: E402


def finished(run):
    """The files of a run and its manifest, if they are as that says."""
    manifest = read_manifest(run / NAME)
    if manifest.results != ".":
        raise UserError(f"{run}: is a page of a part of {run.parent}; upload that")
    if check_files(run, manifest).failed:
        raise UserError(
            f"{run}: is not as its manifest says; `python -m mmbench verify {run}` names the files"
        )
    return [*manifest.files, NAME]


try:
    if missing := {"run", "to"} - config.keys():
        raise UserError(
            f"--config: {' and '.join(sorted(missing))} not set; "
            "write --config run=results/quick to=s3://my-bucket/mmbench/quick"
        )
    RUN, TO = Path(str(config["run"])), str(config["to"]).rstrip("/")
    if not re.fullmatch(r"[a-z0-9]+://[\w./@+=:-]+", TO):
        raise UserError(
            f"--config: to: '{TO}' is not an address of cloud storage; write e.g. s3://my-bucket/mmbench/quick"
        )
    FILES = finished(RUN)
except UserError as error:
    sys.exit(f"error: {error}")


rule uploaded:
    default_target: True
    input:
        [storage(f"{TO}/{name}") for name in FILES],


rule upload:
    input:
        RUN / "{file}",
    output:
        storage(f"{TO}/{{file}}"),
    log:
        ".snakemake/upload/{file}.log",
    localrule: True
    shell:
        "cp {input:q} {output:q} 2> {log:q}"
