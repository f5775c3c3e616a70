# What the rules share: the checked configuration, the methods found, and the paths made of them.
import json
import re
import shlex
import sys
from functools import cache
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))

from mmbench.config.configuration import Config  # noqa: E402
from mmbench.config.discovery import code_hash, find_judge, find_methods  # noqa: E402
from mmbench.config.discovery import of_modalities  # noqa: E402
from mmbench.errors import UserError  # noqa: E402
from mmbench.config.methods import reference_of  # noqa: E402
from mmbench.claims.statements import FILE as CLAIMS, load_claims  # noqa: E402

try:
    CFG = Config(config, ROOT)
    METHODS = find_methods(ROOT, CFG.experiments)
    CFG.check_methods(METHODS)
    load_claims(ROOT)
    if workflow.storage_settings.default_storage_provider:
        raise UserError(
            "--default-storage-provider: the stages read and write folders of this machine; leave it out, "
            "and upload the finished run (workflow/upload.smk)"
        )
except UserError as error:
    sys.exit(f"error: {error}")

P = CFG.results
WEIGHTS = Path(CFG.top.results) / "weights"
CONDA_ENV = str(ROOT / CFG.top.conda_env)
JUDGES = {name: path for name in CFG.experiments if (path := find_judge(ROOT, name))}
PREPARED = ("train.npz", "validation.npz", "test.npz", "card.json")
JUDGE_SEED = 1_000_003  # no method's: a judge must not make the mistakes of a baseline that is the same network
# Shares of a training at which it is looked at, by their folder below the seed's; the empty name is the whole training.
SNAPSHOTS = {f"at{share}/": share for share in CFG.profile.snapshots}
SEED_DIR = str(P / "{experiment}" / "{method}" / "seed{seed}" / "{at}")
OWN_DIR = str(P / "{experiment}" / "{own}" / "seed{seed}" / "{at}")

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


def all_variants(experiment):
    """Every variant that the experiment's configuration describes."""
    return sorted(CFG.experiments[experiment].every_variant())


def ablated(experiment):
    """What the ablation adds to an experiment: all on its axes, and what each is compared with."""
    names = {n for axis in CFG.ablations(experiment).values() for n in axis}
    return names | {reference_of(n) for n in names}


def found(experiment, method):
    """The declaration of a method, or of the method a variant is of, less what its own `modalities` leave out."""
    declared = METHODS[experiment][method.partition("@")[0]]
    learns = CFG.learns(experiment, method)
    return of_modalities(declared, learns, ROOT, experiment) if learns else declared


def source(experiment, method):
    """The method whose weights it uses: itself, or the one it declares (a variant's: that one's of the same tag).

    A variant that only draws otherwise uses its method's.
    """
    declared = found(experiment, method).weights_from
    variant = f"{declared}@{method.partition('@')[2]}"
    named = variant if variant in all_variants(experiment) else declared or method
    return named.partition("@")[0] if CFG.only_samples(experiment, named) else named


def tuned(experiment, method, seed):
    """The settings that a method has chosen on the validation split: an input, if there are any left to choose."""
    chosen = set(found(experiment, method).tune) - set(
        CFG.method_settings(experiment, method)
    )
    return [f"{P}/{experiment}/{method}/seed{seed}/tuned.json"] if chosen else []


def external_methods():
    """Every method that is a `.smk`."""
    return [m for methods in METHODS.values() for m in methods.values() if m.external]


def own_methods():
    """Names of the methods and variants that this workflow trains and asks itself."""
    names = {
        n for methods in METHODS.values() for n, m in methods.items() if not m.external
    }
    return names | {v for e in CFG.experiments for v in all_variants(e)}


def scored(experiment, more=()):
    """Methods in an experiment's tables: all, or those the profile names, its variants, and `more` of both."""
    variants = {*more, *CFG.profile.variants} & set(all_variants(experiment))
    possible = [name for name in METHODS[experiment] if not lacking(experiment, name)]
    chosen = {*CFG.chosen(experiment, possible), *more}
    return [name for name in possible if name in chosen] + sorted(
        v for v in variants if not lacking(experiment, v)
    )


def lacking(experiment, method):
    """The modalities that a method of some of them needs, and that the experiment does not use on these data."""
    used = CFG.modalities(experiment)
    needs = found(experiment, method).needs if used else ()
    return [name for name in needs if name not in used]


def scores(experiment, more=()):
    """The metrics.json of every method and seed of an experiment."""
    methods = scored(experiment, more)
    return [
        f"{P}/{experiment}/{m}/seed{s}/metrics.json"
        for m in methods
        for s in CFG.profile.seeds
    ]


def model_cards(experiment):
    """The README.md of every method and seed of an experiment."""
    return [str(Path(path).with_name("README.md")) for path in scores(experiment)]


def cards(experiment):
    """What an experiment's data and models are, in words."""
    return [data_folder(experiment) / "README.md", *model_cards(experiment)]


def snapshot_scores(experiment):
    """The metrics.json of every snapshot of an experiment's methods that are trained here; variants have none."""
    methods = [
        m
        for m in scored(experiment)
        if "@" not in m
        and not found(experiment, m).external
        and found(experiment, source(experiment, m)).trained
    ]
    return [
        f"{P}/{experiment}/{m}/seed{s}/{at}metrics.json"
        for m in methods
        for s in CFG.profile.seeds
        for at in SNAPSHOTS
    ]


def seed_dir(wildcards):
    """The folder of a whole training, the source of a snapshot."""
    return f"{P}/{wildcards.experiment}/{wildcards.own}/seed{wildcards.seed}"


def source_dir(wildcards):
    """The folder of the weights that a method answers with: of the whole training, or of the same snapshot."""
    weights_of = source(wildcards.experiment, wildcards.own)
    return (
        f"{P}/{wildcards.experiment}/{weights_of}/seed{wildcards.seed}/{wildcards.at}"
    )


def keep_option(experiment, method):
    """How a whole training is told which weights to keep on its way."""
    if "@" in method or not SNAPSHOTS or not found(experiment, method).trained:
        return ""
    return " ".join(["--keep", *map(str, CFG.snapshots(experiment, method).values())])


def until_option(wildcards):
    """How a training is told to end early, and where the whole one has kept its weights."""
    if not wildcards.at:
        return ""
    step = CFG.snapshots(wildcards.experiment, wildcards.own)[SNAPSHOTS[wildcards.at]]
    return f"--until {step} --kept {seed_dir(wildcards)}/state"


def processes_option(trained=True):
    """How a training is told how many processes share it."""
    several = trained and CFG.top.processes > 1
    return f"--processes {CFG.top.processes}" if several else ""


@cache
def code(*entries):
    """A param that changes when the code behind a rule does; of a thousand jobs, few have code of their own."""
    return code_hash(ROOT, *entries)


def settings(stage, experiment=None, method=None):
    """A stage's settings as JSON. As a param: only an edit of what the stage needs changes it and reruns its jobs."""
    weights_of = source(experiment, method) if method else None
    return json.dumps(CFG.settings(stage, experiment, method, weights_of))


def extractor(experiment):
    """The network that embeds an experiment's data; None if nothing does."""
    return CFG.experiments[experiment].options().get("extractor")


def data_folder(experiment):
    """The data an experiment works on: the data set's, or those with the embeddings that it asks for."""
    name = extractor(experiment)
    return P / "embedded" / name if name else P / "data"


def judge_settings(experiment):
    """The settings of a judge's training as JSON: the profile's; a judge has none of its own."""
    return json.dumps(CFG.settings("train", experiment, "judge"))


def judge_weights(experiment):
    """The judge's weights, if the experiment has one: an input."""
    return (
        [f"{P}/{experiment}/judge/weights.safetensors"] if experiment in JUDGES else []
    )


def judge_option(experiment):
    """How a command is told where the judge is, if the experiment has one."""
    return f"--judge {P}/{experiment}/judge" if experiment in JUDGES else ""


def answers_option(experiment, method):
    """How scoring is told which modalities a method answers, if not all that its tasks want."""
    answers = found(experiment, method).answers
    return f"--answers {' '.join(answers)}" if answers else ""


def judge_code(experiment):
    """The file of the judge, if the experiment has one: it is loaded by its name, which no import shows."""
    return [JUDGES[experiment]] if experiment in JUDGES else []


# A report's folder below the profile's (the empty name is the folder itself): its experiments, and what they have more
# than the profile says.
REPORTS = {"": {name: set() for name in CFG.experiments}}
REPORTS |= {f"only-{name}/": {name: set()} for name in CFG.experiments}
REPORTS["ablation/"] = {name: ablated(name) for name in CFG.experiments}


def reported_methods(which):
    """Names of the methods and variants in a report."""
    return sorted({m for e, more in REPORTS[which].items() for m in scored(e, more)})


def reported_ablations(which):
    """What is ablated in a report, by experiment and axis, as JSON: settings by name, for its table of effects."""
    shown = {
        e: {*more, *CFG.profile.variants} & set(scored(e, more))
        for e, more in REPORTS[which].items()
    }
    return json.dumps(
        {
            e: {
                axis: {n: own for n, own in entries.items() if n in shown[e]}
                for axis, entries in CFG.ablations(e).items()
            }
            for e in shown
        }
    )


def reported_folders(which):
    """The folders `<experiment>/<method>` behind a report: of its methods, and of those whose weights they use."""
    return sorted(
        {
            f"{e}/{name}"
            for e, more in REPORTS[which].items()
            for m in scored(e, more)
            for name in (m, source(e, m))
        }
    )


def command(which):
    """The command that makes a report: its target, and what was set that its numbers depend on."""
    target = which.removeprefix("only-").removesuffix("/")
    set_here = [f"profile={CFG.top.profile}"]
    if CFG.top.override:
        set_here.append(f"override={json.dumps(CFG.top.override)}")
    return shlex.join(
        ["snakemake", "--cores", "all", *filter(None, [target]), "--config", *set_here]
    )


def reported_scores(which):
    """The metrics.json files of a report."""
    return [
        path
        for e, more in REPORTS[which].items()
        for path in [*scores(e, more), *snapshot_scores(e)]
    ]


wildcard_constraints:
    at="|".join(["(?:)", *map(re.escape, SNAPSHOTS)]),  # an empty constraint would be none
    experiment=one_of(CFG.experiments),
    extractor=one_of(filter(None, map(extractor, CFG.experiments))),
    judged=one_of(JUDGES),
    method=one_of({*own_methods(), *(m.name for m in external_methods())}),
    own=one_of(own_methods()),
    prepared=one_of({str(data_folder(e).relative_to(P)) for e in CFG.experiments}),
    seed=r"\d+",
    which="|".join(re.escape(which) for which in REPORTS),
