"""A `python` whose libraries are imported: each start is a fork of one process, for tests that start many.

Most of the time of a small run passes while its jobs import torch, each anew. Here `python` in the PATH of Snakemake
asks a process of this test session, which has imported it once, to fork. The fork has the words, folder, environment
and files of the one that asked, and imports mmbench from that one's folder, since none of it is imported beforehand.
A fork is its own `sys.executable`, so that what it starts is forked too. What is about processes (signals, memory,
faults) starts the true Python: by its path, or by words that match the regular expression COLD of the environment.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import gc
import importlib
import json
import os
import pkgutil
import re
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import NoReturn

from filelock import FileLock

ROOT = Path(__file__).parents[1]
#: What stages and Snakemake import on their way.
LIBRARIES = ("matplotlib.pyplot", "scipy.stats", "snakemake.cli", "torchmetrics.image")
ABOVE = 500  # numbers of files while they change places
CLIENT = """#!{python} -IS
import json, os, re, socket, sys
words, cold = sys.argv[1:], os.environ.get("COLD")
words = words[words[:1] == ["-u"]:]  # so does torchrun start its processes
true = cold and re.search(cold, " ".join(words))
if true or not words or words[0] != "-m" and not words[0].endswith(".py"):
    os.execv({python!r}, [{python!r}, *words])
files = []
for number in map(int, os.listdir("/proc/self/fd")):
    try:
        os.fstat(number)
        files.append(number)
    except OSError:
        pass
asked = dict(program=sys.argv[0], words=words, folder=os.getcwd(), environment=dict(os.environ), files=files)
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
    connection.connect({address!r})
    socket.send_fds(connection, [json.dumps(asked).encode()], files)
    status = int(connection.recv(100) or 1)
    if status < 0:
        os.kill(os.getpid(), -status)
    sys.exit(status)
"""


@functools.cache
def warm_python() -> Path:
    """The folder of a program `python` that starts at once, for as long as this session of tests lasts."""
    session, worker = os.environ.get("PYTEST_XDIST_TESTRUNUID"), "PYTEST_XDIST_WORKER" in os.environ
    folder = Path(gettempdir(), f"warm-{os.getuid()}-{session}") if session else Path(mkdtemp(prefix="warm-"))
    folder.mkdir(mode=0o700, exist_ok=True)
    program = folder / "python"
    with FileLock(folder / "lock"):
        if not program.exists():
            start(program, os.getppid() if worker else os.getpid())
    return folder


def start(program: Path, owner: int) -> None:
    """Start what forks for a program, until the process `owner` is gone."""
    address = str(program.with_name("asked"))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        [sys.executable, __file__, address, str(owner)], env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    assert server.stdout and server.stdout.readline() == b"ready\n"
    program.write_text(CLIENT.format(python=sys.executable, address=address))
    program.chmod(0o700)


def import_libraries() -> None:
    """Import the packages that a stage may use, then forget the modules of mmbench."""
    for name in LIBRARIES:
        importlib.import_module(name)
    stages = importlib.import_module("mmbench.stages")
    plugins = [module for module in pkgutil.iter_modules() if re.match(r"snakemake_\w+_plugin_", module.name)]
    for module in (*plugins, *pkgutil.iter_modules(stages.__path__, "mmbench.stages.")):
        importlib.import_module(module.name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mmbench"]:
        del sys.modules[name]


def serve(address: str, owner: int) -> None:
    """Fork for everyone who asks, until the owner is gone."""
    gone = os.pidfd_open(owner)
    import_libraries()
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(address)
        listening.listen(64)
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            ready, _, _ = select.select([listening, gone], [], [])
            if gone in ready:
                return
            connection, _ = listening.accept()
            if os.fork():
                connection.close()
                continue
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if worker := os.fork():
                keep(worker, connection)
            break
    words = become(connection)
    try:
        status = run(words)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    end(status)


def keep(worker: int, connection: socket.socket) -> NoReturn:
    """Tell how a fork has ended, or end it when the one that asked is gone."""
    ended, poll = os.pidfd_open(worker), select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(connection, select.POLLRDHUP)
    if ended not in dict(poll.poll()):
        os.kill(worker, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    with suppress(OSError):
        connection.send(str(status).encode())
    os._exit(0)


def become(connection: socket.socket) -> list[str]:
    """Be the process that was asked for; its words."""
    message, received, _, _ = socket.recv_fds(connection, 1 << 20, 250)
    asked = json.loads(message)
    high = [fcntl.fcntl(number, fcntl.F_DUPFD, ABOVE) for number in received]
    connection.close()
    for number in received:
        with suppress(OSError):
            os.close(number)
    for number, target in zip(high, asked["files"], strict=True):
        os.dup2(number, target)
        os.close(number)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.executable = asked["program"]
    # The streams of the server are of other kinds of files.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    words: list[str] = asked["words"]
    first = asked["folder"] if words[0] == "-m" else str(Path(words[0]).resolve().parent)
    more = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [first, *more, *(path for path in sys.path if path not in (str(ROOT), str(Path(__file__).parent)))]
    importlib.invalidate_caches()
    return words


def run(words: list[str]) -> int:
    """Run what `python WORDS...` would."""
    if words[0] == "-m":
        sys.argv[:] = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = words
        runpy.run_path(words[0], run_name="__main__")
    return 0


def end(status: int) -> None:
    """End as Python does, but leave it to the system to take the libraries down, which takes seconds."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError):  # the program has closed it
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
