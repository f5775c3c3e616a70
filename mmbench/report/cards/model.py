"""The card of one training run, or of the scores of a method that is not trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbench.files.store import read_record
from mmbench.report import text
from mmbench.report.cards.render import render

PAPER = "https://arxiv.org/abs/2407.17571"


def model_card(folder: Path) -> str:
    """Markdown that describes a folder of a method and seed: the method, its training data, its scores and cost.

    Args:
        folder: a folder with training.json, metrics.json or both.

    Raises:
        UserError: one of them is not a JSON file.
    """
    training = metrics = None
    if (folder / "training.json").is_file():
        training = read_record(folder / "training.json")
    if (folder / "metrics.json").is_file():
        metrics = read_record(folder / "metrics.json")
    settings: Mapping[str, Any] = (training or {}).get("settings") or {}
    experiment = settings.get("experiment") or (metrics or {}).get("experiment")
    method = (metrics or {}).get("method") or settings.get("method")
    data = (training or {}).get("card") or settings.get("data") or {}
    title = (metrics or {}).get("title", method)
    return render(
        "model.md.j2",
        metadata_of(title, experiment, data, metrics),
        paper=PAPER,
        title=title,
        method=method,
        experiment=experiment,
        data=data,
        training=training,
        facts=facts_of(training or {}, settings),
        seed=(training or metrics or {}).get("seed"),
        scores=score_rows(metrics),
        cost=(metrics or {}).get("cost", {}),
        provenance=(training or metrics or {}).get("provenance", {}),
    )


def facts_of(training: Mapping[str, Any], settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The training and the network, as far as they are recorded."""
    hardware = training.get("hardware") or {}
    facts = {
        "parameters": text.quantity(training.get("parameters")),
        "steps done": training.get("steps"),
        "operations": text.quantity(training.get("flops"), "FLOP"),
        "time": text.duration(training.get("seconds")),
        "device": hardware.get("gpu") or training.get("device"),
        "peak memory": text.storage(training.get("peak_memory_bytes")),
    }
    facts |= settings.get("train") or {}
    facts |= {f"network: {key}": value for key, value in (settings.get("network") or {}).items()}
    method_settings = settings.get("method_settings") or {}
    facts |= {f"{settings['method']}: {key}": value for key, value in method_settings.items()}
    return [(key, value) for key, value in facts.items() if value not in (None, text.DASH)]


def metadata_of(
    title: Any, experiment: Any, data: Mapping[str, Any], metrics: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The metadata for a hub: library, tags, and the scores as a model index."""
    tags = ["mmbench", "diffusion", "multimodal", "multitask", experiment, f"arxiv:{PAPER.rpartition('/')[2]}"]
    metadata: dict[str, Any] = {"library_name": "mmbench", "license": "other", "tags": tags}
    if metrics and data:
        name = data.get("title") or data.get("name", "")
        scores = [
            {"type": row["name"], "name": f"{row['case']}: {row['name']}", "value": row["value"]}
            for row in metrics["metrics"]
        ]
        result = {
            "task": {"type": "other", "name": experiment},
            "dataset": {"type": data.get("name", name), "name": name},
            "metrics": scores,
        }
        metadata["model-index"] = [{"name": title, "results": [result]}]
    return metadata


def score_rows(metrics: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The scores in the order of the file, with an arrow for the better direction."""
    rows = metrics["metrics"] if metrics else []
    return [
        {
            "case": row["case"],
            "name": row["name"],
            "better": "higher" if row["higher_is_better"] else "lower",
            "value": f"{row['value']:.4g}",
            "items": row["n"],
        }
        for row in rows
    ]
