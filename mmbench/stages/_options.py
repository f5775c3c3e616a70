"""The common options of several stages, as `mmbench.command` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from mmbench.errors import LARGEST_NUMBER

SettingsFile = Annotated[Path, Option(help="JSON with the sections that this stage needs.")]
MethodFile = Annotated[Path, Option(help="The method's file.")]
DataFolder = Annotated[Path, Option(help="Folder that the stage data or embed wrote.")]
CasesFolder = Annotated[Path, Option(help="Folder that the stage cases wrote.")]
NetworksFolder = Annotated[Path, Option(help="Folder that the stage lpips wrote.")]
WeightsFile = Annotated[Path, Option(help="The weights.safetensors that training wrote.")]
JudgeFolder = Annotated[Path | None, Option(help="Folder of the experiment's trained judge, if it has one.")]
CacheFolder = Annotated[Path | None, Option(help="Folder to keep what networks say in, and to read it from.")]
MethodFolder = Annotated[Path, Option(help="The method's folder of this seed.")]
Seed = Annotated[int, Option(min=0, max=LARGEST_NUMBER, help="Seed of weights, batches and noise.")]
Threads = Annotated[int, Option(min=1, help="CPU threads to compute with.")]
Device = Annotated[str, Option(help="auto (a GPU if there is one), cpu or cuda.")]
Processes = Annotated[int, Option(min=1, help="That share the shards of a batch and the threads.")]
StateFolder = Annotated[Path, Option(help="Folder of the checkpoint of an unfinished training.")]
