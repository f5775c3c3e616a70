"""Several processes at one training, each with a GPU or CPU threads of its own: started, told apart, added up.

What is computed depends on `train.shards` alone, the equal parts of each batch: a process works through its share of
them one after the other, and `Team.sum` adds up what all have. PyTorch's elastic agent, which is also `torchrun`,
starts the processes and watches them; Hugging Face accelerate lets them talk to each other.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmbench.errors import UserError, run_command

#: What a process says that ended because another did, which has a better reason.
LEFT = "another process of this training has ended; run the same command again: it goes on from the last checkpoint"


class Team:
    """The processes at one training; one that is alone is a team, too.

    Attributes:
        size: number of processes.
        rank: number of this one. The first, 0, is the one that writes and prints.
        device: where this process computes, if that is its own GPU; None for what the command line says.
    """

    def __init__(self, size: int = 1, rank: int = 0, device: torch.device | None = None) -> None:
        self.size, self.rank, self.device = size, rank, device
        self.parent = os.getppid()

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def share(self, shards: int) -> range:
        """The shards that this process works through.

        Raises:
            UserError: they cannot be shared out evenly.
        """
        if shards % self.size:
            raise UserError(
                f"train.shards: {shards} parts of a batch cannot be shared out evenly among {self.size} processes; set "
                "it to a multiple of that, or start fewer processes"
            )
        own = shards // self.size
        return range(self.rank * own, (self.rank + 1) * own)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes, which must all ask for it.

        Raises:
            UserError: another process has ended, or the one that started them has.
        """
        if self.size == 1:
            return values
        from accelerate.utils import reduce  # noqa: PLC0415 (not for one process)

        if os.getppid() != self.parent:  # the agent was killed: nobody would notice how this goes on
            raise UserError(LEFT)
        try:
            return reduce(values, "sum")
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            raise UserError(LEFT) from None

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in any process; all must ask."""
        return bool(self.sum(torch.tensor(float(flag), device=self.device)))

    def check_same(self, values: Mapping[str, Tensor], step: int, state: Path) -> None:
        """Check that all processes are after the same step with the same tensors.

        Raises:
            UserError: they are not.
        """
        if self.size == 1:
            return
        own = [torch.tensor(float(step), dtype=torch.float64)]
        own += [value.detach().double().sum().cpu() for value in values.values()]
        sums = torch.stack(own).to(self.device or "cpu")
        everyone = sums.new_zeros(self.size, len(sums))
        everyone[self.rank] = sums
        everyone = self.sum(everyone)
        if (everyone[:, 0] != everyone[0, 0]).any():
            raise UserError(f"{state}: not all processes see the checkpoint that is there; put it where all nodes do")
        for name, same in zip(values, (everyone[:, 1:] == everyone[0, 1:]).all(dim=0).tolist(), strict=True):
            if not same:
                raise UserError(
                    f"'{name}' is not the same in all processes after step {step}; a method's loss must draw from its "
                    "generator only and change no buffer. Start one process instead"
                )


def launched() -> bool:
    """Whether this process is one of those that `launch` or `torchrun` started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextlib.contextmanager
def joined(device: str) -> Iterator[Team]:
    """The team this process is in, with its connections; all but the first process are silent.

    Args:
        device: what the command line says: `cpu`, `cuda` or `auto`.

    Raises:
        UserError: there are too few GPUs, or one of them is named.
    """
    if not launched():
        yield Team()
        return
    from accelerate import PartialState  # noqa: PLC0415 (not for one process)

    cpu = device == "cpu" or not torch.cuda.is_available()
    here, there = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if not cpu and (device not in ("auto", "cuda") or here > there):
        raise UserError(f"--device: '{device}': {here} processes need a GPU each of the {there} here; start fewer")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # without it, accelerate takes all cores; --threads counts
    state = PartialState(cpu=cpu, timeout=timedelta(days=1))  # the first may wait for another training to end
    team = Team(state.num_processes, state.process_index, None if cpu else state.device)
    with contextlib.ExitStack() as stack:
        if not team.first:
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
        yield team
    state.destroy_process_group()  # not after an error, when the others may not answer


def run_member(main: Callable[[Sequence[str] | None], None]) -> None:
    """`run_command` for a command that may be one of several processes: their agent prints one line for all."""
    if not launched():
        run_command(main)
        return
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler  # noqa: PLC0415

    try:
        run_command(main)
    except SystemExit as stopped:
        if isinstance(stopped.code, str):
            get_error_handler().record_exception(UserError(stopped.code.removeprefix("error: ")))
            stopped.code = 1
        raise
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def launch(module: str, argv: Sequence[str], settings: Mapping[str, Any], processes: int, threads: int) -> None:
    """Start that many processes of `python -m <module>` on this machine, and wait until all have ended.

    Args:
        module: it calls `run_member`.
        argv: its command line, but for `--settings` and `--threads`.
        settings: handed over in a file, since what was given may be a pipe that is read only once.
        processes, threads: how many, and the CPU threads of all together.

    Raises:
        UserError: one has failed; all others are ended.
    """
    from torch.distributed.elastic.multiprocessing import SignalException  # noqa: PLC0415
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # noqa: PLC0415

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # any free port
        max_restarts=0,
    )
    logging.disable()  # of the agent, which says in many lines what is said here in one
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(settings, file)
            file.flush()
            own = ["--settings", file.name, "--threads", str(max(1, threads // processes))]
            elastic_launch(config, sys.executable)("-m", module, *argv, *own)
    except ChildFailedError as error:
        raise UserError(reason(error)) from None
    except SignalException as stopped:
        sys.exit(128 + stopped.sigval)
    finally:
        logging.disable(logging.NOTSET)


def reason(error: Any) -> str:
    """Why a launch has failed, in a line: what the process says that failed first, or how it was ended."""
    said = [f.message["message"].partition(": ")[2] for f in error.failures.values() if isinstance(f.message, dict)]
    own = [text for text in said if text != LEFT]
    killed = [(rank, f.signal_name()) for rank, f in error.failures.items() if f.exitcode < 0]
    if own:
        return own[0]
    if killed:
        return f"process {killed[0][0]} of this training was ended by {killed[0][1]}; {LEFT.partition('; ')[2]}"
    return said[0] if said else "a process of this training has failed; what it said is above"
