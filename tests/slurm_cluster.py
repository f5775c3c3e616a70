"""A real Slurm of one node in a folder: munged, slurmctld and slurmd on free ports of the loopback.

It neither reads nor writes `/etc/slurm`: every program is told of its configuration by `SLURM_CONF`. So it is no danger
to a machine that belongs to a cluster, several may run at once, and it needs no root. The node has the CPUs, the memory
and the two GPUs that it says it has, whatever the machine has; the GPUs' device files are `/dev/null` and `/dev/zero`.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Packages `munge slurmctld slurmd slurm-client` of Debian.
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo", "squeue", "scancel", "scontrol")
#: Daemons are where not every PATH leads.
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
NODE = "localhost"
CONF = """
ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
# Without cgroups: memory is looked at every second, and a step that has more than it asked for is killed.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MinJobAge=3600
GresTypes=gpu
NodeName={node} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""
GRES = f"NodeName={NODE} Name=gpu File=/dev/null\nNodeName={NODE} Name=gpu File=/dev/zero\n"


def missing() -> list[str]:
    """The programs of Slurm and munge that are not installed."""
    return [name for name in PROGRAMS if not shutil.which(name, path=PATH)]


@dataclass(frozen=True)
class Cluster:
    """A running Slurm, all of whose files are in `folder`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a program that is to talk to this Slurm."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "SRUN"))}
        path = f"{self.folder / 'bin'}{os.pathsep}{PATH}"
        return kept | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def command(self, *words: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}\n{self.logs()}"
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """All jobs so far in the order of submission, as `scontrol show job` tells of them: also those that ended."""
        lines = self.command("scontrol", "show", "job", "--details", "--oneliner").splitlines()
        jobs = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines if line.startswith("JobId=")]
        return sorted(jobs, key=lambda job: int(job["JobId"]))

    def logs(self) -> str:
        """The last lines of the daemons."""
        return "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.log")))


@contextmanager
def running(folder: Path, cpus: int = 2, memory: int = 16000) -> Iterator[Cluster]:
    """A Slurm in the new `folder`, whose path must be short (a socket's has at most 107 characters).

    Args:
        folder: for all its files.
        cpus: of its node.
        memory: of its node, MB; neither needs to be there.
    """
    for part in ("state", "spool", "bin"):
        (folder / part).mkdir(parents=True)
    cluster = Cluster(folder)
    _configure(folder, cpus, memory)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    names = {"key-file": key.name, "socket": "munge.socket", "pid-file": "munged.pid", "seed-file": "munged.seed"}
    options = [f"--{option}={folder / name}" for option, name in names.items()]
    with ExitStack() as daemons:
        daemons.enter_context(_daemon(cluster, "munged", "--foreground", "--force", *options))
        _wait("munged", cluster, (folder / "munge.socket").exists)
        daemons.enter_context(_daemon(cluster, "slurmctld", "-D", "-c"))
        daemons.enter_context(_daemon(cluster, "slurmd", "-D", "-N", NODE))
        _wait("the node", cluster, lambda: _idle(cluster))
        try:
            yield cluster
        finally:
            cluster.command("scancel", "--full", "--signal=KILL", "--user", pwd.getpwuid(os.getuid()).pw_name)
            _wait("the last job's end", cluster, lambda: not cluster.command("squeue", "--noheader").strip())


def _configure(folder: Path, cpus: int, memory: int) -> None:
    with ExitStack() as both:  # open at once, so that they differ
        servers = [both.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        controller, node = (server.getsockname()[1] for server in servers)
    about = {"folder": folder, "node": NODE, "user": pwd.getpwuid(os.getuid()).pw_name, "cpus": cpus, "memory": memory}
    (folder / "slurm.conf").write_text(CONF.format(**about, controller_port=controller, node_port=node))
    (folder / "gres.conf").write_text(GRES)
    # The executor hides every variable that begins with SLURM_ from the srun inside a job, this one too.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun", path=PATH)} "$@"\n')
    srun.chmod(0o755)


@contextmanager
def _daemon(cluster: Cluster, name: str, *arguments: str) -> Iterator[None]:
    """A daemon in the foreground, which ends with the block; what it prints is `<name>.log`."""
    program = shutil.which(name, path=PATH)
    assert program
    with (cluster.folder / f"{name}.out.log").open("w") as out:
        process = subprocess.Popen([program, *arguments], env=cluster.environment, stdout=out, stderr=out)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _idle(cluster: Cluster) -> bool:
    told = subprocess.run(
        ["sinfo", "-h", "-o", "%T"], env=cluster.environment, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() == "idle"


def _wait(what: str, cluster: Cluster, ready: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} did not come within {seconds:g} s\n{cluster.logs()}"
        time.sleep(0.1)
