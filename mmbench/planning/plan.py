"""What a run takes together, from the seconds of its jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmbench.planning.jobs import Job


@dataclass
class Plan:
    """What a run takes.

    Attributes:
        seconds: of each job, on a core (or GPU) of its own.
        jobs: in the same order.
        memory: bytes of the largest job, as far as it was seen.
        disk: bytes that are written.
        device: where jobs compute.
        slots: jobs at once.
        timed, possible: methods that were timed, and all there are to time.
        notes: what a reader must know.
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
        """Jobs and seconds of each rule; of what is left to do only, if asked."""
        rules: dict[str, tuple[int, float]] = {}
        for job, seconds in zip(self.jobs, self.seconds, strict=True):
            if job.left or not left:
                count, total = rules.get(job.rule, (0, 0.0))
                rules[job.rule] = (count + 1, total + seconds)
        return rules

    def total(self, left: bool = False) -> float:
        """Seconds of all jobs, one after the other."""
        return sum(seconds for _, seconds in self.by_rule(left).values())

    def wall(self, left: bool = False) -> float:
        """Seconds from start to end: the work shared out to the slots, but no less than the longest chain of jobs."""
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
