"""`snakemake --use-conda` for real, offline: Snakemake makes an environment and runs a rule of the workflow in it.

`conda` is here `conda_client.py`, on the solver and installer of py-rattler, **not conda itself**; the channel and the
wheels are made of the environment that runs the tests (`conda_channel.py`). So this shows that the rules, the key
`conda_env` and Snakemake agree about environments, and that jobs run in them and with nothing else. It shows nothing of
conda or mamba, nor that `environment.yml` can be had from conda-forge and PyPI; `test_conda_versions.py` has its pins.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
import yaml

from mmbench.files.store import read_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
#: What the rule `data` imports, and what that does.
NEEDED = [
    "numpy",
    "pyyaml",
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-extensions",
    "typing-inspection",
    "typer",
    "annotated-doc",
    "shellingham",
    "rich",
    "markdown-it-py",
    "mdurl",
    "pygments",
    "pillow",
    "filelock",
]
#: What is linked instead: torch and what that imports, which are too large for a wheel.
LINKED = [
    "torch",
    "torchgen",
    "functorch",
    "nvidia",
    "triton",
    "sympy",
    "mpmath",
    "networkx",
    "jinja2",
    "markupsafe",
    "fsspec",
]
PARTS = ["Snakefile", "workflow", "config", "profiles", "mmbench", "baselines"]

ACTIVATE = """# Sourced as `source activate PREFIX`.
[ -d "$1/conda-meta" ] || { echo "EnvironmentLocationNotFound: $1" >&2; return 1; }
export CONDA_PREFIX="$1" CONDA_DEFAULT_ENV="$1" CONDA_SHLVL=1 PATH="$1/bin:$PATH"
"""

#: Only in the channel: every Python of an environment with it says where it and its numpy are, in the log of a rule.
WITNESS = b"""
import atexit
import sys


@atexit.register
def say():
    if "numpy" in sys.modules:
        print("witness:", sys.prefix, "numpy:", sys.modules["numpy"].__file__, file=sys.stderr)
"""


@dataclass
class Watch:
    """A proxy that answers nobody, and what it was asked."""

    port: int
    asked: list[str] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """What sends every program's requests here, whatever the host. Files are not requested from a proxy."""
        names = ["http_proxy", "https_proxy", "all_proxy"]
        address = f"http://127.0.0.1:{self.port}"
        return {n: address for name in names for n in (name, name.upper())} | {"no_proxy": "", "NO_PROXY": ""}


@contextmanager
def network_watched() -> Iterator[Watch]:
    """Note what asks for the network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        watch = Watch(server.getsockname()[1])

        def listen() -> None:
            while True:
                with server.accept()[0] as asking:
                    if not (line := asking.recv(1024).partition(b"\r\n")[0].decode(errors="replace")):
                        return
                    watch.asked.append(line)

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield watch
        finally:
            socket.create_connection(("127.0.0.1", watch.port)).close()  # no request: the last one
            thread.join()


@dataclass(frozen=True)
class Conda:
    """A stand-in for conda, a channel and wheels in a folder."""

    folder: Path

    @property
    def channel(self) -> str:
        """The channel's address."""
        return (self.folder / "channel").as_uri()

    def environment(self, watch: Watch) -> dict[str, str]:
        """The variables of a program that finds this `conda`, wheels in its folder and no other place for them."""
        path = [self.folder / "bin", Path(sys.executable).parent, os.environ["PATH"]]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "CONDA"))}
        return (
            kept
            | watch.variables
            | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.folder / "wheels"), "PIP_CONFIG_FILE": os.devnull}
            | {"PIP_NO_COMPILE": "1", "PATH": os.pathsep.join(map(str, path))}
        )


@pytest.fixture(scope="module")
def conda(tmp_path_factory: pytest.TempPathFactory) -> Conda:
    """The stand-in, and a channel and wheels that suffice for the rule `data`."""
    pytest.importorskip("rattler", reason="py-rattler, which stands in for conda, is not installed")
    import conda_channel  # noqa: PLC0415  it needs py-rattler

    try:
        pip = distribution("pip")
    except PackageNotFoundError:
        pytest.skip("pip, which goes into the channel, is not installed")
    folder = tmp_path_factory.mktemp("conda")
    witness = conda_channel.pure_package("witness", "1.0", {"sitecustomize.py": WITNESS})
    packages = [conda_channel.python_package(), conda_channel.installed_package(pip), witness]
    packages.append(conda_channel.linked_package("linked-torch", LINKED))
    conda_channel.write_channel(folder / "channel", packages)
    (folder / "wheels").mkdir()
    for name in NEEDED:
        conda_channel.write_wheel(distribution(name), folder / "wheels")
    (folder / "bin").mkdir()
    command = shlex.join([sys.executable, str(ROOT / "tests" / "conda_client.py"), str(folder)])
    (folder / "bin" / "conda").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (folder / "bin" / "conda").chmod(0o755)
    (folder / "bin" / "activate").write_text(ACTIVATE)
    return Conda(folder)


@dataclass(frozen=True)
class Checkout:
    """A copy of this checkout in which the rule `data` is asked for, with an environment file of its own."""

    root: Path
    conda: Conda

    def write(self) -> None:
        """Copy; `offline.yml` is environment.yml but for its channel and its Python, with what the rule needs alone."""
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, self.root / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, self.root)
        minor = f"python={sys.version_info.major}.{sys.version_info.minor}"
        dependencies = [
            minor,
            "pip",
            "witness",
            "linked-torch",
            {"pip": [f"{name}=={version(name)}" for name in NEEDED]},
        ]
        content = {"channels": [self.conda.channel, "nodefaults"], "dependencies": dependencies}
        (self.root / "offline.yml").write_text(yaml.safe_dump(content))

    def snakemake(self, flag: str, watch: Watch) -> str:
        """Ask for the data; what Snakemake says."""
        command = [sys.executable, "-m", "snakemake", "--cores", "1", flag, "results/smoke/data/card.json"]
        done = subprocess.run(
            [*command, "--config", "profile=smoke", "conda_env=offline.yml"],
            cwd=self.root,
            env=self.conda.environment(watch),
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def test_a_rule_runs_offline_in_the_environment_that_snakemake_makes_for_it(conda: Conda, tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, conda)
    checkout.write()
    with network_watched() as watch:
        checkout.snakemake("--use-conda", watch)
        # The same data are not made again where they are asked for without conda.
        assert "Nothing to be done" in checkout.snakemake("--dry-run", watch)
    assert watch.asked == []
    assert read_json(tmp_path / "results" / "smoke" / "data" / "card.json")["splits"]["train"]["count"] == 64

    [prefix] = [path.parent for path in (tmp_path / ".snakemake" / "conda").glob("*/conda-meta")]
    linked = [read_json(path) for path in prefix.glob("conda-meta/*.json")]
    assert {package["name"] for package in linked} == {"python", "pip", "witness", "linked-torch"}
    assert all(package["url"].startswith(f"{conda.channel}/") for package in linked)

    log = (tmp_path / "results" / "smoke" / "log" / "data.log").read_text()
    [(own, numpy)] = re.findall(r"^witness: (.+) numpy: (.+)$", log, re.MULTILINE)
    assert own == str(prefix)
    assert Path(numpy).is_relative_to(prefix)


def test_a_channel_elsewhere_would_be_noticed(conda: Conda, tmp_path: Path) -> None:
    own = {"channels": ["http://conda.invalid/channel"], "dependencies": ["witness"]}
    (tmp_path / "online.yml").write_text(yaml.safe_dump(own))
    flags = ["--quiet", "--no-default-packages", "--file", "online.yml", "--prefix", str(tmp_path / "made")]
    with network_watched() as watch:
        command = [conda.folder / "bin" / "conda", "env", "create", *flags]
        done = subprocess.run(command, cwd=tmp_path, env=conda.environment(watch), capture_output=True, check=False)
    assert done.returncode != 0
    assert any("conda.invalid" in line for line in watch.asked), watch.asked
