"""The cost of every job of a profile, estimated from the timings of a few."""

from __future__ import annotations

import itertools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from mmbench.config.choice import possible_trials
from mmbench.config.configuration import Config
from mmbench.config.discovery import MethodFile, find_judge, find_methods, of_modalities, read_literals
from mmbench.config.extractors import VGG16
from mmbench.models.device import choose_device, peak_memory
from mmbench.planning.jobs import Job
from mmbench.planning.measure import Bench, Step, starting
from mmbench.planning.plan import Plan

#: Seconds of an item's metrics in addition to its networks, see benchmarks/results/evaluation-cpu.md.
SCORE_DRAWN, SCORE_GIVEN = 0.003, 0.0015
#: Seconds of reading one image of a data set whose files are missing here.
PICTURE = 0.003
#: Seconds of the report for an experiment, and for each of its methods; of Snakemake for a job; of hashing a manifest.
#: They are from runs of `quick`.
REPORT_EXPERIMENT, REPORT_METHOD, SCHEDULING, MANIFEST = 5.0, 0.5, 0.25, 1.0
#: The assumed number of items of a split, if a profile uses all of them.
TYPICAL = {"train": 50_000, "validation": 5_000, "test": 10_000}
COMPARED = 20  # steps of a training run at which gradients are compared
#: The modules that a kind of job imports before it begins.
STARTS = {
    "method": "mmbench.stages.train",
    "network": "mmbench.stages.train, mmbench.models.nets.unet",
    "scores": "mmbench.stages.evaluate",
    "report": "mmbench.stages.report, mmbench.modalities.image",
}


class Costs:
    """The seconds of each job of a profile.

    Args:
        seconds: the time for timing; methods that are not reached in time are assumed to be like the others.
    """

    def __init__(self, config: Config, seconds: float, said: Callable[[str], None] = lambda _: None) -> None:
        self.config = config
        self.device = choose_device("auto" if config.top.gpu else "cpu", config.top.threads)
        self.bench = Bench(config, self.device, config.top.threads)
        self.methods = find_methods(config.root, config.experiments)
        self.steps: dict[tuple[str, str], Step | None] = {}
        self.items: dict[tuple[str, str], dict[str, float]] = {}
        self.start = {kind: starting(modules) for kind, modules in STARTS.items()}
        self.networks = self.bench.networks()
        self.extractors = [about.name for about in config.extractors()]
        self.seeing = sum(self.seen(name) for name in self.extractors)
        self.read = self.bench.reading()
        self.cases = {name: self.bench.cases(name) for name in config.experiments}
        self.end = time.monotonic() + seconds
        self.said, self.report = said, 0.0

    def seen(self, extractor: str) -> float:
        """Seconds of an image in an extractor; a user's extractor and a CLIP are assumed to be like VGG16."""
        return self.networks.get(extractor, self.networks[VGG16])

    def method_of(self, job: Job) -> MethodFile:
        """The method of a job, restricted to the modalities in its settings."""
        method = self.methods[job.experiment][job.method.partition("@")[0]]
        learns = self.config.section(job.experiment, job.method).modalities
        return of_modalities(method, learns, self.config.root, job.experiment) if learns else method

    def measure(self, jobs: Sequence[Job]) -> int:
        """Time the methods of these jobs, in turn from each experiment, until the time is up; returns their number."""
        self.report = self.reporting(jobs)
        of: dict[str, list[Job]] = defaultdict(list)
        first = self.config.profile.seeds[0]
        for job in jobs:
            if job.rule == "judge" or (job.rule == "predict" and (job.seed, job.share) == (first, 1.0)):
                of[job.experiment].append(job)
        rounds = itertools.zip_longest(*(of[name] for name in sorted(of)))
        wanted = [job for some in rounds for job in some if job]
        for job in wanted:
            if time.monotonic() > self.end and self.steps:
                break
            self.said(f"{job.experiment}/{job.method}")
            key = (job.experiment, job.method)
            if job.rule == "judge":
                file = self.config.root / str(find_judge(self.config.root, job.experiment))
                self.steps[key] = self.bench.step(job.experiment, "judge", file)
                continue
            method = self.method_of(job)
            file = self.config.root / method.path
            self.steps[key] = None if method.weights_from else self.bench.step(*key, file)
            self.items[key] = self.bench.answers(*key, file, method)
        return len(self.steps)

    def step(self, experiment: str, method: str) -> Step | None:
        """The steps of a method; if it was not timed, the mean over its experiment's methods, or over all."""
        if (experiment, method) in self.steps:
            return self.steps[experiment, method]
        known = [s for (e, _), s in self.steps.items() if s and e == experiment] or [
            s for s in self.steps.values() if s
        ]
        if not known:
            return None
        usual, compared, first = (
            sum(getattr(step, name) for step in known) / len(known) for name in ("usual", "compared", "first")
        )
        return Step(usual, compared, first, round(sum(s.parameters for s in known) / len(known)))

    def answer(self, job: Job) -> dict[str, float]:
        """Seconds of an item of each case that a method answers; if it was not timed, the mean of those that were."""
        key = (job.experiment, job.method)
        if key in self.items:
            return self.items[key]
        method = self.method_of(job)
        tasks = {case.name: case.task for case in self.cases[job.experiment]}
        names = [name for name, task in tasks.items() if task in method.tasks]
        known = {name: [a[name] for (e, _), a in self.items.items() if e == job.experiment and name in a]
                 for name in names}  # fmt: skip
        others = [a for answers in self.items.values() for a in answers.values()] or [0.0]
        return {n: sum(v) / len(v) if v else sum(others) / len(others) for n, v in known.items()}

    def training(self, job: Job, step: Step | None) -> float:
        """Seconds of a training run, or of its first part."""
        if step is None:
            return 0.0
        steps = (
            self.config.profile.train.steps
            if job.rule == "judge"
            else self.config.section(job.experiment, job.method).steps
        )
        steps = round(steps * job.share)
        compared = min(steps - 1, COMPARED)  # not in the first step, whose operations are counted
        return step.first + (steps - 1 - compared) * step.usual + compared * step.compared

    def predicting(self, job: Job) -> float:
        """Seconds of all answers of a method."""
        counts = self.counts(job)
        return sum(counts[name] * seconds for name, seconds in self.answer(job).items())

    def counts(self, job: Job) -> dict[str, int]:
        """The number of items of each case of a job's experiment."""
        return {case.name: self.bench.count(case) for case in self.cases[job.experiment]}

    def scoring(self, job: Job) -> float:
        """Seconds of scoring a method's answers: networks process every image, and metrics compare them."""
        answered, total = self.answer(job), 0.0
        for case in self.cases[job.experiment]:
            if case.name not in answered:
                continue
            task = self.bench.task(job.experiment, case)
            if "masked_image" in task.given:
                total += self.bench.count(case) * (
                    self.networks["lpips-alex"] + self.networks["lpips-vgg"] + SCORE_GIVEN
                )
            elif "image" in task.want and self.draws(job):
                total += self.bench.count(case) * (self.seeing + SCORE_DRAWN * len(self.extractors))
        return total

    def draws(self, job: Job) -> bool:
        """Whether a method answers images."""
        answers = self.method_of(job).answers
        return not answers or "image" in answers

    def seconds(self, job: Job) -> float:
        """Seconds of a job that has a core, or a GPU, alone."""
        evaluate = self.config.profile.evaluate
        sizes = {split: self.size(split) for split in TYPICAL}
        start, score = self.start[self.kind(job)], self.start["scores"]
        read = PICTURE if self.read is None else self.read
        drawn = min(evaluate.samples, sizes[evaluate.reference])
        whole = {
            "data": lambda: start / 2 + read * sum(sizes.values()),
            "lpips": lambda: score + 10,
            "efficientnet": lambda: score + 5,
            "cases": lambda: start,
            "embed": lambda: score + self.networks[VGG16] * sum(sizes.values()),
            "train": lambda: start + self.training(job, self.step(job.experiment, job.method)),
            "judge": lambda: start + self.training(job, self.step(job.experiment, "judge")),
            "predict": lambda: start + self.predicting(job),
            "tune": lambda: score + self.tuning(job),
            "evaluate": lambda: score + self.scoring(job),
            "reference": lambda: score + self.seeing * (sizes[evaluate.reference] + drawn) + SCORE_DRAWN * drawn,
            "report": lambda: self.start["report"] + self.report,
            "manifest": lambda: MANIFEST,
        }
        return SCHEDULING + whole[job.rule]() if job.rule in whole else SCHEDULING

    def kind(self, job: Job) -> str:
        """The kind of a job's imports: a method that is trained, or uses the weights of another, has a network."""
        if not job.method:
            return "method"
        other = job.rule != "judge" and self.method_of(job).weights_from
        return "network" if other or self.step(job.experiment, job.method) else "method"

    def tuning(self, job: Job) -> float:
        """Seconds of all candidates on the validation split: settings of the method, and sampling."""
        method, total = self.method_of(job), 0.0
        settings = self.config.settings("tune", job.experiment, job.method, method.weights_from)
        literals = read_literals(self.config.root / method.path)
        fixed = settings["method_settings"]
        tries = math.prod(len(values) for name, values in literals.get("TUNE", {}).items() if name not in fixed)
        if set(method.tune) - set(fixed):
            total += tries * self.trying(job, literals["TUNE_BY"][0], self.config.profile.data.validation)
        for trials in possible_trials(method, settings, self.config.profile.data.validation):
            evaluations = sum(drawing["nfe"] for drawing in trials.drawings) / settings["sample"]["nfe"]
            total += evaluations * self.trying(job, trials.task, trials.items)
        return total

    def trying(self, job: Job, task: str, items: int | None) -> float:
        """Seconds of answering a task's cases with all evaluations and of scoring them, with at most `items` items."""
        counts = {
            case.name: min(self.bench.count(case), items or math.inf)
            for case in self.cases[job.experiment]
            if case.task == task
        }
        asked = sum(seconds * counts[name] for name, seconds in self.answer(job).items() if name in counts)
        both = self.networks["lpips-alex"] + self.networks["lpips-vgg"]
        return asked + sum(counts.values()) * (both if task == "reconstruct" else self.seen(self.extractors[0]))

    def reporting(self, jobs: Sequence[Job]) -> float:
        """Seconds of the tables and figures of the scored experiments and methods."""
        scored = {(job.experiment, job.method) for job in jobs if job.rule == "evaluate"}
        return REPORT_EXPERIMENT * len({experiment for experiment, _ in scored}) + REPORT_METHOD * len(scored)

    def size(self, split: str) -> int:
        """The number of items of a split; an assumption if the profile uses all, since that is not known before."""
        return getattr(self.config.profile.data, split) or TYPICAL[split]

    def memory(self) -> float:
        """Bytes of the largest job that was timed, including the training items."""
        height, width = self.bench.settings.shape
        items = self.size("train") * height * width * 4.0
        return peak_memory(self.device) + items

    def disk(self, jobs: Sequence[Job]) -> float:
        """Bytes of weights, answers, prepared data and features."""
        height, width = self.bench.settings.shape
        total = sum(self.size(split) * height * width * 4.0 for split in TYPICAL)
        for job in jobs:
            step = self.step(job.experiment, job.method) if job.rule in ("train", "judge") else None
            total += 4.0 * step.parameters if step else 0.0
            if job.rule == "predict":
                counts = self.counts(job)
                total += sum(counts[name] for name in self.answer(job)) * (3.0 * height * width + 2048)
        return total


def make_plan(
    config: Config, jobs: Sequence[Job], cores: int, seconds: float, said: Callable[[str], None] = lambda _: None
) -> Plan:
    """Time the profile's methods and add up its jobs.

    Args:
        cores: the number of CPU cores that the run may use.
    """
    costs = Costs(config, seconds, said)
    timed = costs.measure(jobs)
    possible = len({(j.experiment, j.method) for j in jobs if j.rule in ("predict", "judge")})
    notes = []
    if costs.read is None:
        notes.append(f"the files of {config.profile.data.name} are missing, so the time to read them is a guess")
    if any(getattr(config.profile.data, split) is None for split in TYPICAL):
        notes.append("the profile uses all items of a split, whose number is assumed (50,000, 5,000 and 10,000)")
    slots = max(1, cores // config.top.threads) if costs.device.type == "cpu" else 1
    return Plan(
        jobs, [costs.seconds(job) for job in jobs], costs.memory(), costs.disk(jobs), costs.device.type, slots,
        timed, possible, notes,
    )  # fmt: skip
