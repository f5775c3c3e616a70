# What only Snakemake can do for all rules: hand over the configuration, and set the shell and the wildcards. What the
# rules ask of the run is in mmbench/config/workflow.py, of its pages in mmbench/config/pages.py.
import re
import shlex
import shutil
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))

from mmbench.claims.statements import load_claims  # noqa: E402
from mmbench.config.pages import UNFINISHED, Pages  # noqa: E402
from mmbench.config.slurm import check_jobs, refused_later  # noqa: E402
from mmbench.config.workflow import PREPARED, Workflow  # noqa: E402
from mmbench.errors import UserError  # noqa: E402

try:
    RUN = Workflow(config, ROOT)
    PAGES = Pages(RUN)
    load_claims(ROOT)
    if workflow.storage_settings.default_storage_provider:
        raise UserError(
            "--default-storage-provider: the stages read and write folders of this machine; leave it out, "
            "and upload the finished run (workflow/upload.smk)"
        )
except UserError as error:
    sys.exit(f"error: {error}")

TOP = RUN.config.top
P, WEIGHTS = RUN.results, RUN.weights
CONDA_ENV = str(ROOT / TOP.conda_env)
SEED_DIR = str(P / "{experiment}" / "{method}" / "seed{seed}" / "{at}")

# A prefix replaces Snakemake's own, which has the strict mode without which `... | tee` hides a failure.
# The checkout's path is a variable of the shell, not a param: moving the checkout must not rerun anything.
# A signal to the whole group (Ctrl-C, `scancel`) reaches the shell and tee too: they wait for what the command does and
# says about it.
shell.prefix(
    f"set -euo pipefail; export MMBENCH={shlex.quote(str(ROOT))}; export PYTHONPATH=$MMBENCH; "
    "trap : HUP INT TERM; tee() {{ trap '' HUP INT TERM; command tee \"$@\"; }}; "
)


def one_of(names):
    """A wildcard's constraint: one of these names."""
    return "|".join(re.escape(name) for name in sorted(names)) or "(?!)"


wildcard_constraints:
    at="|".join(["(?:)", *map(re.escape, RUN.snapshots)]),  # an empty constraint would be none
    experiment=one_of(RUN.config.experiments),
    extractor=one_of(set(RUN.extractors.values())),
    method=one_of(RUN.methods.every_name()),
    page="|".join(map(re.escape, PAGES.shown)),
    prepared=one_of(
        str(RUN.data(name).relative_to(P)) for name in RUN.config.experiments
    ),
    seed=r"\d+",
