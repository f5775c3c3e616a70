"""Several processes of one training run, each with its own GPU or CPU threads; `torchrun` starts and monitors them.

The result depends only on `train.shards`, the number of equal parts of each batch: a process computes its share of them
one after the other, and `Team.sum` adds the results of all processes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, distributed

from mmbench.errors import UserError, run_command

#: The message of a process that ended because another one did, whose message is more useful.
ENDED = "another process of this training has ended; run the same command again: it goes on from the last checkpoint"


class Team:
    """The processes of one training run; a single process is a team as well.

    Attributes:
        size: number of processes.
        rank: number of this process. The first one, 0, writes and prints.
        device: the GPU of this process, if it has its own; None for the device of the command line.
    """

    def __init__(self, size: int = 1, rank: int = 0, device: torch.device | None = None) -> None:
        self.size, self.rank, self.device = size, rank, device
        self.parent = os.getppid()

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def share(self, shards: int) -> range:
        """The shards of this process; UserError if the shards cannot be divided evenly."""
        if shards % self.size:
            raise UserError(
                f"train.shards: {shards} parts of a batch cannot be shared out evenly among {self.size} processes; set "
                "it to a multiple of that, or start fewer processes"
            )
        count = shards // self.size
        return range(self.rank * count, (self.rank + 1) * count)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes, all of which must call this function.

        Raises:
            UserError: another process has ended, or the one that started them has.
        """
        if self.size == 1:
            return values
        if os.getppid() != self.parent:  # torchrun was killed, so no process monitors this one
            raise UserError(ENDED)
        total = values.clone()
        try:
            distributed.all_reduce(total)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            raise UserError(ENDED) from None
        return total

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in any process; all processes must call this function."""
        return bool(self.sum(torch.tensor(float(flag), device=self.device)))

    def check_same(self, values: Mapping[str, Tensor], step: int, state: Path) -> None:
        """Check that all processes have finished the same step with the same tensors; UserError if they have not."""
        if self.size == 1:
            return
        sums = [value.detach().double().sum().cpu() for value in values.values()]
        everyone = torch.zeros(self.size, 1 + len(sums), dtype=torch.float64, device=self.device)
        everyone[self.rank] = torch.stack([torch.tensor(float(step), dtype=torch.float64), *sums])
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
    """The team of this process, with its connections; only the first process prints.

    Args:
        device: the device of the command line: `cpu`, `cuda` or `auto`.

    Raises:
        UserError: there are too few GPUs, or a single GPU is named.
    """
    if not launched():
        yield Team()
        return
    cpu = device == "cpu" or not torch.cuda.is_available()
    count, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if not cpu and (device not in ("auto", "cuda") or count > gpus):
        raise UserError(f"--device: '{device}': {count} processes need a GPU each of the {gpus} here; start fewer")
    gpu = None if cpu else torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    if gpu:
        torch.cuda.set_device(gpu)
    patience = timedelta(days=1)  # the first process may wait for another training run to end
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=patience, device_id=gpu)
    team = Team(distributed.get_world_size(), distributed.get_rank(), gpu)
    with contextlib.ExitStack() as stack:
        if not team.first:
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
        yield team
    distributed.destroy_process_group()  # not after an error, when the others may not respond


def run_member(main: Callable[[Sequence[str] | None], None]) -> None:
    """`run_command` for a command that may be one of several processes, whose parent prints one line for all."""
    if not launched():
        run_command(main)
        return
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler  # noqa: PLC0415

    def record(message: str, _status: int) -> NoReturn:
        get_error_handler().record_exception(UserError(message))
        sys.exit(1)

    try:
        run_command(main, record)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def launch(module: str, argv: Sequence[str], settings: Mapping[str, Any], processes: int, threads: int) -> None:
    """Start that many processes of `python -m <module>` on this machine, and wait until all have ended.

    Args:
        module: the module, which calls `run_member`.
        argv: its command line without `--settings` and `--threads`.
        settings: the settings, passed in a file, since `--settings` may be a pipe that can be read only once.
        processes, threads: the number of processes, and the CPU threads of all together.

    Raises:
        UserError: a process has failed; all others are ended.
    """
    from torch.distributed.elastic.multiprocessing import SignalException  # noqa: PLC0415 (not for one process)
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415
    from torch.distributed.run import parse_args, run  # noqa: PLC0415

    logging.disable()  # torchrun's messages, which use many lines for what the error has in one
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(settings, file)
            file.flush()
            command = [*argv, "--settings", file.name, "--threads", str(max(1, threads // processes))]
            run(parse_args(["--standalone", f"--nproc-per-node={processes}", "-m", module, *command]))
    except ChildFailedError as error:
        raise UserError(reason(error.failures)) from None
    except SignalException as stopped:
        sys.exit(128 + stopped.sigval)
    finally:
        logging.disable(logging.NOTSET)


def reason(failures: Mapping[int, Any]) -> str:
    """Why a launch has failed, in one line: the message of the process that failed first, or how it was ended.

    Args:
        failures: torchrun's record of each process that failed, by its rank.
    """
    messages = [f.message["message"].partition(": ")[2] for f in failures.values() if isinstance(f.message, dict)]
    causes = [message for message in messages if message != ENDED]
    killed = [f"process {rank} of this training was ended by {f.signal_name()}" for rank, f in failures.items()
              if f.exitcode < 0]  # fmt: skip
    if causes:
        return causes[0]
    if killed:
        return f"{killed[0]}; {ENDED.partition('; ')[2]}"
    return messages[0] if messages else "a process of this training has failed; what it said is above"
