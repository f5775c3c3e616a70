"""A trained model in Python: it generates any modalities given any others, with the code that the benchmark uses."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from mmbench.config.discovery import claimed_tasks, read_literals
from mmbench.errors import UserError, near
from mmbench.experiments.experiment import Case, load_experiment, source_of
from mmbench.experiments.methods import MULTITASK_FILE, method_file
from mmbench.files.store import sha256_arrays
from mmbench.files.weights import load_weights
from mmbench.inference.answer import answer_case
from mmbench.inference.hub import Published, layout
from mmbench.inference.inputs import as_stored, repeated
from mmbench.inference.outputs import Generated
from mmbench.method import Method, Modality, Sampling, Task, load_method
from mmbench.modalities import kind_of, of_record
from mmbench.models.device import choose_device, place
from mmbench.runs.provenance import provenance
from mmbench.runs.records import Training, checked, read_tuned

#: The sampling of a task without a choice on the validation split, by whether hidden pixels are filled in.
HOLES, DRAWN = Sampling("dpm++", 20), Sampling("dpm++sde", 20)


@dataclass(frozen=True)
class Model(Published):
    """The model of one training run, which can answer tasks and be saved or published (`mmbench.inference.hub`).

    Attributes:
        folder: the folder of the training run.
        experiment: the experiment, whose modalities it uses.
        settings: the settings of the training run, with the choices made on the validation split.
        card: name, classes, palette and labels of its training data.
        drawings: the sampling chosen on the validation split: fields of `Sampling`, by input modalities.
    """

    folder: Path
    file: Path
    experiment: str
    settings: Mapping[str, Any]
    modalities: Mapping[str, Modality]
    card: Mapping[str, Any]
    device: torch.device
    method: Method
    drawings: Mapping[frozenset[str], Mapping[str, Any]]

    @classmethod
    def read(cls, folder: str | os.PathLike[str], device: str = "auto") -> Model:
        """The model of a folder, see `load`."""
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; name one training, e.g. results/quick/joint/mt_diffusion/seed0")
        about, weights = layout(folder)
        record = checked(about, Training, "the model cannot be built from it; train the method again")
        settings = dict(record["settings"])
        tuned = folder / "tuned.json"
        chosen, drawn_by = read_tuned(tuned) if tuned.is_file() else ({}, {})
        settings["method_settings"] = {**settings["method_settings"], **chosen}
        modalities = {name: of_record(entry) for name, entry in record["modalities"].items()}
        experiment = load_experiment(settings["experiment"])
        tasks = experiment.tasks
        drawings = {frozenset(tasks[name].given): drawing for name, drawing in drawn_by.items() if name in tasks}
        file = method_file(settings["experiment"], settings["method"], about)
        method = load_method(file, experiment.spec(modalities, settings))
        load_weights(weights, method)
        where = choose_device(device, torch.get_num_threads())
        place(method, where).eval()
        card = record.get("card") or {}
        return cls(folder, file, settings["experiment"], settings, modalities, card, where, method, drawings)

    def generate(
        self,
        *,
        want: Sequence[str] | None = None,
        count: int = 1,
        guidance: float | None = None,
        seed: int = 0,
        sampler: str | None = None,
        nfe: int | None = None,
        batch_size: int = 50,
        resize: bool = False,
        **given: Any,
    ) -> Generated:
        """Generate modalities given others; without inputs, all are generated from noise.

        Args:
            want: names of the modalities to generate; all that are not given unless named.
            count: number of answers for each given item, which differ in their noise; without inputs, the total number.
                The answers to one item follow each other.
            guidance: strength of guidance, if the method has it. None uses the choice made on the validation split for
                such a task, or the method's setting; likewise `sampler` and `nfe`.
            seed: seed of the noise, from 0; 0 is the benchmark's noise.
            sampler: `ancestral`, `ddim`, `dpm++`, `dpm++snr` or `dpm++sde`.
            nfe: network evaluations for each answer; 20 without a choice.
            batch_size: answers at a time; they do not depend on it.
            resize: whether images of another size are resized.
            given: modalities by name, see `mmbench.inference.inputs.as_stored`: one item each, or equally many.

        Raises:
            UserError: a name is unknown, a value does not fit, or the model cannot generate a modality.
        """
        known = {k: as_stored(k, v, self._modality(k), self.card, resize=resize)
                 for k, v in given.items() if v is not None}  # fmt: skip
        task = self.task(tuple(known), want)
        if count < 1 or not 0 <= seed < 2**31 or (nfe is not None and nfe < 1) or batch_size < 1:
            raise UserError("count, nfe and batch_size must be at least 1, and seed a whole number from 0 to 2^31 - 1")
        known = repeated(known, count)
        total = len(next(iter(known.values()))) if known else count
        sampling = self.sampling(task, {"sampler": sampler, "nfe": nfe, "guidance": guidance})
        answered = answer_case(
            self.method,
            task,
            Case("answer", task.name, total, known),
            sampling=sampling,
            batch_size=batch_size,
            device=self.device,
            seed=seed,
            draws=count if known else 1,
        )
        arrays = {name.removeprefix("answer/"): array for name, array in answered.items()}
        shown = {name: {"shape": list(x.shape), "sha256": sha256_arrays({name: x})} for name, x in known.items()}
        asked = {"given": shown, "want": list(task.want), "count": count, "items": total, "seed": seed,
                 **asdict(sampling), "batch_size": batch_size}  # fmt: skip
        return Generated(arrays, known, self.modalities, self.card, {**self.origin(), **asked})

    def task(self, given: Collection[str], want: Sequence[str] | None) -> Task:
        """The task with these inputs and outputs, in the order of the modalities.

        Raises:
            UserError: there is no output, or the method does not answer the task.
        """
        able = self.answers(given)
        for name in want or ():
            self._modality(name)
            if name in given:
                raise UserError(f"want: {name} is given; name others, of {listed(able)}")
            if name not in able:
                says = f"given {' and '.join(given) or 'nothing'}, {self.settings['method']} makes {listed(able)}"
                raise UserError(f"want: {name}: {says}; want that, or load another model")
        chosen = [name for name in self.modalities if name in (able if want is None else want)]
        if not chosen:
            raise UserError(
                f"want: given {' and '.join(given) or 'nothing'}, there is nothing that {self.settings['method']} of "
                f"{self.experiment} can make; give {' or '.join(self.questions())}"
            )
        return Task("answer", tuple(name for name in self.modalities if name in given), tuple(chosen))

    def answers(self, given: Collection[str]) -> list[str]:
        """The modalities that the model can generate given exactly these."""
        made = {name for name, modality in self.modalities.items() if kind_of(modality).made_from}
        for name in made & set(given):
            if (source := source_of(name, self.modalities)) in given:
                raise UserError(f"{source} is given whole and as {name}, which is made from it; give one of the two")
        if self.file != MULTITASK_FILE:
            only = read_literals(self.file).get("ANSWERS")
            wanted = {name for task in self._tasks() if set(task.given) == set(given) for name in only or task.want}
            return [name for name in self.modalities if name in wanted and name not in given]
        weights = {"generate": 1.0, **(self.settings["method_settings"].get("weights") or {})}
        target = self.settings["method_settings"].get("target", "image")
        learnt = {name for name in self.modalities if weights.get("generate" if name == target else name)}
        return [name for name in self.modalities if name in learnt - set(given) - made]

    def questions(self) -> list[str]:
        """The possible inputs, in words."""
        if self.file != MULTITASK_FILE:
            return sorted({" and ".join(task.given) or "nothing" for task in self._tasks()})
        return ["nothing", *self.modalities]

    def _tasks(self) -> list[Task]:
        tasks = load_experiment(self.experiment).tasks
        return [tasks[name] for name in claimed_tasks(read_literals(self.file)["TASKS"], tasks)]

    def check_names(self, names: Collection[str]) -> None:
        """Raise a UserError for a name that is not a modality."""
        for name in names:
            self._modality(name)

    def _modality(self, name: str) -> Modality:
        if name not in self.modalities:
            raise UserError(
                f"'{name}' is no modality of {self.experiment}{near(name, self.modalities)}; there are "
                f"{', '.join(self.modalities)}"
            )
        return self.modalities[name]

    def sampling(self, task: Task, wanted: Mapping[str, Any]) -> Sampling:
        """The sampling of a task: the values in `wanted` that are not None, else those that were chosen.

        Raises:
            UserError: guidance is requested from a method that has none.
        """
        tasks = load_experiment(self.experiment).tasks.values()
        if wanted["guidance"] is not None and not any("guidance" in self.method.heeds(other) for other in tasks):
            raise UserError(f"guidance: {self.settings['method']} has no such setting; leave it out")
        plain = HOLES if any(kind_of(self.modalities[name]).made_from for name in task.given) else DRAWN
        chosen = self.drawings.get(frozenset(task.given), asdict(plain))
        return Sampling(**{**chosen, **{name: value for name, value in wanted.items() if value is not None}})

    def origin(self) -> dict[str, Any]:
        """The origin of the answers: method, hashes of its files, and the program's version."""
        files = {path.name: path for path in layout(self.folder)}
        return {"model": str(self.folder), "experiment": self.experiment, "method": self.settings["method"],
                "provenance": provenance(self.settings, {**files, "method": self.file})}  # fmt: skip


def load(folder: str | os.PathLike[str], device: str = "auto") -> Model:
    """The model in the folder of a training run, or in one that `Model.save_pretrained` wrote; no data are needed.

    Args:
        folder: a folder with weights.safetensors and training.json, and tuned.json if choices were made on the
            validation split; or with model.safetensors and config.json.
        device: `auto` (a GPU if there is one), `cpu` or `cuda`.

    Raises:
        UserError: a file is missing, is damaged, or belongs to another version.
    """
    return Model.read(folder, device)


def listed(names: Sequence[str]) -> str:
    """`a, b`, or `nothing`."""
    return ", ".join(names) or "nothing"
