"""Quality against evaluations for every sampler: FD of drawn images and LPIPS of filled holes, of one trained model.

The model is the multitask one of image, mask, label and masked image on `toy_streets`, trained here unless `--training`
names another. Every sampler starts from the same noise. Prints tables; `--out` writes them with the machine as JSON.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from measure import machine
from tables import table, write_record

from mmbench.config.configuration import Config
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError, run_command
from mmbench.experiments.experiment import Case, asked, load_experiment
from mmbench.files.store import load_arrays, read_json, write_json
from mmbench.frozen.features import EXTRACTOR, Extractor, load_extractor
from mmbench.frozen.lpips import load_lpips
from mmbench.inference.answer import answer_case
from mmbench.inference.model import Model
from mmbench.method import Modality, Sampling
from mmbench.models.device import choose_device
from mmbench.models.diffusion.sampler import SamplerName
from mmbench.runs.provenance import provenance
from mmbench.scoring.composite import paste
from mmbench.scoring.metrics.frechet import frechet_distance
from mmbench.scoring.metrics.perceptual import lpips_of_stored
from mmbench.stages import data as prepare_data
from mmbench.stages import train

ROOT = Path(__file__).parents[1]
METHOD = ROOT / "mmbench/models/mt_diffusion.py"
WORK = ROOT / "results" / "benchmarks" / "sampling"
MODALITIES = ["image", "mask", "label", "masked_image"]
FD, LPIPS = f"fd[{EXTRACTOR}]", "lpips_alex"
#: A result counts as that of many evaluations if it is no more than this share above the best of them.
CLOSE = 0.05


def trained(work: Path, profile: str, steps: int) -> tuple[Path, Path]:
    """Folders of a model and of its data, of a profile's sizes, made in `work` unless the same are there."""
    top = {"profile": profile, "override": {"train": {"steps": steps}}}
    config = Config({**read_yaml(ROOT / "config" / "config.yaml", ROOT), **top}, ROOT)
    settings = {**config.settings("train", "joint", "mt_diffusion"), "modalities": MODALITIES}
    folder, data, wanted = work / "model", work / "data", config.settings("data")
    if not (data / "card.json").is_file() or read_json(work / "data.json") != wanted:
        write_json(work / "data.json", wanted)
        prepare_data.main(["--settings", str(work / "data.json"), "--out", str(data)])
    write_json(work / "train.json", settings)
    if not train.finished(folder, train.training_key(settings, 0, METHOD, data)):
        places = {"settings": work / "train.json", "method": METHOD, "data": data, "state": folder / "state"}
        words = [word for flag, place in places.items() for word in (f"--{flag}", str(place))]
        train.main([*words, "--seed", "0", "--out", str(folder)])
    return folder, data


def questions(
    experiment: str, modalities: Mapping[str, Modality], test: dict[str, np.ndarray], drawn: int, filled: int
) -> tuple[Case, Case]:
    """The experiment's case of drawing from noise, and its case of filling holes of half of the image.

    Raises:
        UserError: the experiment has not both.
    """
    settings = {"evaluate": {"samples": drawn, "reconstructions": filled}, "share": 0.5, "shares": [0.5]}
    cases = {case.task: case for case in load_experiment(experiment).cases(test, modalities, settings)}
    if not {"generate", "reconstruct"} <= cases.keys():
        raise UserError(f"--training: the experiment '{experiment}' does not fill holes; name one of masking or joint")
    return cases["generate"], cases["reconstruct"]


def answers(model: Model, case: Case, sampling: Sampling, seed: int) -> np.ndarray:
    """Images, uint8 (n, 3, h, w), that the model makes for a case; seed 0 is the benchmark's own noise."""
    task = asked(load_experiment(model.experiment), case, tuple(model.modalities))
    arrays = answer_case(model.method, task, case, sampling=sampling, batch_size=100, device=model.device, seed=seed)
    return arrays[f"{case.name}/image"]


def measure(model: Model, data: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """FD and LPIPS of every sampler, number of evaluations and noise seed; yields what is known after each."""
    test, drawn_from = (load_arrays(data / f"{split}.npz") for split in ("test", "train"))
    extractor: Extractor = load_extractor(args.weights, model.device)
    lpips = load_lpips("alex", args.weights, model.device)
    draw, fill = questions(model.experiment, model.modalities, test, args.drawn, args.filled)
    real, points = extractor(test["image"]), list[dict[str, Any]]()
    known = {
        "real": len(real),
        "floor": frechet_distance(real, extractor(drawn_from["image"][: args.drawn])),
        "points": points,
    }
    asked = list(product(args.nfe, args.samplers, range(args.seeds)))
    for nfe, sampler, seed in asked:
        sampling, begin = Sampling(sampler, nfe), time.process_time()
        images, filled = (answers(model, case, sampling, seed) for case in (draw, fill))
        seconds = time.process_time() - begin
        (distances,) = lpips_of_stored(lpips, fill.truth["image"], [paste(fill, filled)], model.device)
        values = {FD: frechet_distance(real, extractor(images)), LPIPS: float(distances.mean())}
        points.append({"sampler": sampler, "nfe": nfe, "seed": seed, "cpu": seconds, **values})
        print(points[-1], flush=True)
        yield {**known, "complete": len(points) == len(asked)}


def mean(points: Iterable[dict[str, Any]], metric: str) -> tuple[float, float]:
    """Mean over the noise seeds, and their standard deviation."""
    values = [point[metric] for point in points]
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def shown(measured: tuple[float, float] | None, best: float, decimals: int) -> str:
    """A mean, its deviation and its ratio to the best, bold if it is close to it."""
    if measured is None:
        return "–"
    value, deviation = measured
    text = f"{value:.{decimals}f} ± {deviation:.{decimals}f} ({value / best:.2f})"
    return f"**{text}**" if value <= (1 + CLOSE) * best else text


def as_text(record: dict[str, Any]) -> str:
    """The tables of a record, one for each metric: evaluations in rows, samplers in columns."""
    samplers, counts = record["samplers"], record["nfe"]
    most = counts[-1]
    text = (
        f"{record['model']}; {record['drawn']} images drawn, {record['real']} real ones, from which as many training "
        f"images have FD {record['floor']:.1f}; {record['filled']} test images with half of each filled in. Mean ± "
        f"deviation over {record['seeds']} seeds of noise, the same for all samplers; in brackets the ratio to the "
        f"best of all with {most} evaluations, bold up to {1 + CLOSE}. {record['provenance']['processor']}.\n"
    )
    text += "" if record["complete"] else "**Interrupted: not all was measured.**\n"
    for metric, decimals in ((FD, 1), (LPIPS, 4)):
        distances = {
            (nfe, sampler): mean(same, metric)
            for nfe, sampler in product(counts, samplers)
            if (same := [p for p in record["points"] if (p["sampler"], p["nfe"]) == (sampler, nfe)])
        }
        best = min((distances[most, s][0] for s in samplers if (most, s) in distances), default=math.nan)
        rows = [[str(nfe), *(shown(distances.get((nfe, s)), best, decimals) for s in samplers)] for nfe in counts]
        text += "\n" + table([f"{metric}, evaluations", *samplers], rows)
    return text


def main(argv: Sequence[str] | None = None) -> None:
    """`python benchmarks/sampling.py --weights results/weights`."""
    parser = argparse.ArgumentParser(prog="python benchmarks/sampling.py", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder that mmbench.frozen.lpips wrote")
    parser.add_argument("--training", type=Path, help="folder of a finished training; needs --data")
    parser.add_argument("--data", type=Path, help="folder of the data it was trained on")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the training and its data")
    parser.add_argument("--profile", default="quick", help="whose network and data the training has")
    parser.add_argument("--steps", type=int, default=600, help="of the training")
    parser.add_argument("--samplers", nargs="+", default=get_args(SamplerName), choices=get_args(SamplerName))
    parser.add_argument("--nfe", type=int, nargs="+", default=[5, 10, 20, 50, 250], help="evaluations, the most last")
    parser.add_argument("--seeds", type=int, default=3, help="of the noise")
    parser.add_argument("--drawn", type=int, default=300, help="images drawn from noise")
    parser.add_argument("--filled", type=int, default=100, help="test images whose holes are filled")
    parser.add_argument("--out", type=Path, help="JSON file to write; the tables are written beside it")
    args = parser.parse_args(argv)
    choose_device("cpu", 1)
    if bool(args.training) != bool(args.data):
        raise UserError("--training and --data belong together; give both, or neither to train a model here")
    folder, data = (args.training, args.data) if args.training else trained(args.work, args.profile, args.steps)
    model = Model.read(folder, "cpu")
    options = {key: getattr(args, key) for key in ("samplers", "nfe", "seeds", "drawn", "filled")}
    name = f"{model.experiment}/{model.settings['method']}, {model.settings['train']['steps']} training steps"
    about = {"model": name, "machine": machine(), "provenance": provenance(options, {})}
    for known in measure(model, data, args):  # an interrupted run leaves what it has
        record = {**options, **about, **known}
        write_record(args.out, record, as_text(record))
    print(as_text(record))


if __name__ == "__main__":
    run_command(main)
