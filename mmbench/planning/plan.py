"""The total cost of a run, from the seconds of its jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmbench.planning.jobs import Job


@dataclass
class Plan:
    """The predicted cost of a run.

    Attributes:
        seconds: the seconds of each of `jobs`, in their order, if it has a core (or a GPU) alone.
        memory: bytes of the largest job that was timed.
        disk: bytes that the run writes.
        slots: the number of jobs that run at once.
        timed, possible: the number of methods that were timed, and of all methods that could be.
    """

    jobs: Sequence[Job]
    seconds: Sequence[float]
    memory: float
    disk: float
    device: str
    slots: int
    timed: int
    possible: int
    notes: list[str] = field(default_factory=list)

    def by_rule(self, left: bool = False) -> dict[str, tuple[int, float]]:
        """The number of jobs and the seconds of each rule; with `left`, only of the jobs that are left to do."""
        rules: dict[str, tuple[int, float]] = {}
        for job, seconds in zip(self.jobs, self.seconds, strict=True):
            if job.left or not left:
                count, total = rules.get(job.rule, (0, 0.0))
                rules[job.rule] = (count + 1, total + seconds)
        return rules

    def total(self, left: bool = False) -> float:
        """Seconds of all jobs if they run one after the other."""
        return sum(seconds for _, seconds in self.by_rule(left).values())

    def wall(self, left: bool = False) -> float:
        """Seconds from start to end: the work divided among the slots, but at least the longest chain of jobs."""
        chains: dict[tuple[str, str, int], float] = defaultdict(float)
        alone = 0.0
        for job, seconds in zip(self.jobs, self.seconds, strict=True):
            if job.left or not left:
                if job.method and job.rule != "judge":
                    chains[job.experiment, job.method, job.seed] += seconds
                elif job.rule in ("data", "embed", "report", "manifest"):
                    alone += seconds
        return max((self.total(left) - alone) / self.slots, max(chains.values(), default=0.0)) + alone


def as_record(plan: Plan) -> Mapping[str, Any]:
    """A plan as JSON."""
    rules = {rule: {"jobs": jobs, "seconds": round(s, 1)} for rule, (jobs, s) in plan.by_rule().items()}
    return {
        "rules": rules,
        "seconds": round(plan.total(), 1),
        "wall_seconds": round(plan.wall(), 1),
        "left": {"seconds": round(plan.total(left=True), 1), "wall_seconds": round(plan.wall(left=True), 1)},
        "device": plan.device,
        "jobs_at_once": plan.slots,
        "memory_bytes_of_a_job": round(plan.memory),
        "disk_bytes": round(plan.disk),
        "timed": plan.timed,
        "methods": plan.possible,
        "notes": plan.notes,
    }
