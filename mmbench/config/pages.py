"""The pages of a run (of everything, of one experiment, and of the ablation) and their content."""

from __future__ import annotations

import json
import shlex

from mmbench.config.methods import reference_of
from mmbench.config.workflow import Workflow

UNFINISHED = "unfinished"  # folder of the page of a run that ended before everything was scored


class Pages:
    """The content of each page.

    Attributes:
        shown: the experiments of each page, by the page's folder below the profile's (empty for the folder itself), and
            the methods and variants that an experiment has there in addition to the profile's.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        experiments = list(workflow.config.experiments)
        self.shown: dict[str, dict[str, set[str]]] = {"": {name: set() for name in experiments}}
        self.shown |= {f"only-{name}/": {name: set()} for name in experiments}
        self.shown["ablation/"] = {name: self.ablated(name) for name in experiments}

    def ablated(self, experiment: str) -> set[str]:
        """The methods that the ablation adds to an experiment: all on its axes, and their references."""
        names = {name for axis in self.workflow.config.ablations(experiment).values() for name in axis}
        return names | {reference_of(name) for name in names}

    def experiments(self, page: str) -> list[str]:
        """Names of a page's experiments."""
        return list(self.shown[page])

    def scored(self, page: str) -> dict[str, list[str]]:
        """Names of the methods and variants on a page, by experiment."""
        return {name: self.workflow.methods.scored(name, more) for name, more in self.shown[page].items()}

    def methods(self, page: str) -> list[str]:
        """Names of the methods and variants on a page, of all experiments."""
        return sorted({method for methods in self.scored(page).values() for method in methods})

    def folders(self, page: str) -> list[str]:
        """The folders `<experiment>/<method>` of a page's methods, and of those whose weights they use."""
        source = self.workflow.methods.source
        return sorted(
            {
                f"{experiment}/{name}"
                for experiment, methods in self.scored(page).items()
                for method in methods
                for name in (method, source(experiment, method))
            }
        )

    def scores(self, page: str) -> list[str]:
        """The metrics.json files that a page shows."""
        workflow = self.workflow
        return [
            path
            for experiment, more in self.shown[page].items()
            for path in [*workflow.scores(experiment, more), *workflow.snapshot_scores(experiment)]
        ]

    def references(self, page: str) -> list[str]:
        """The scores of the real data that a page shows."""
        return [f"{self.workflow.results}/{experiment}/reference.json" for experiment in self.shown[page]]

    def cards(self, page: str) -> list[str]:
        """The cards of the data and models of a page."""
        return [path for experiment in self.shown[page] for path in self.workflow.cards(experiment)]

    def ablations(self, page: str) -> str:
        """The ablation on a page as JSON, for its table of effects: settings by experiment, axis and name."""
        config, scored = self.workflow.config, self.scored(page)
        variants = {
            name: {*more, *config.profile.variants}.intersection(scored[name])
            for name, more in self.shown[page].items()
        }
        return json.dumps(
            {
                experiment: {
                    axis: {name: settings for name, settings in entries.items() if name in variants[experiment]}
                    for axis, entries in config.ablations(experiment).items()
                }
                for experiment in variants
            }
        )

    def command(self, page: str) -> str:
        """The command that makes a page: its target, and the settings on which its numbers depend."""
        top, target = self.workflow.config.top, page.removeprefix("only-").removesuffix("/")
        values = [f"profile={top.profile}"]
        if top.override:
            values.append(f"override={json.dumps(top.override)}")
        return shlex.join(["snakemake", "--cores", "all", *filter(None, [target]), "--config", *values])

    def unfinished(self) -> str:
        """The command that makes a page of the scored methods, if a job exceeded its time limit; else empty."""
        results, shown = self.workflow.results, self.experiments("")
        timed_out = [name for name in shown if any((results / name).glob("*/seed*/timed_out.json"))]
        scored = [name for name in shown if any((results / name).glob("*/seed*/metrics.json"))]
        if not timed_out or not scored:
            return ""
        words = ["--results", str(results), "--out", str(results / UNFINISHED), "--experiments", *scored]
        words += ["--methods", *self.methods(""), "--command", self.command("")]
        return f"python -m mmbench.stages.report {shlex.join(words)} > {results}/log/{UNFINISHED}.log 2>&1"

    def configuration(self, page: str) -> str:
        """The configuration on which a page's numbers may depend, as JSON."""
        return json.dumps(self.workflow.config.described(self.experiments(page)))
