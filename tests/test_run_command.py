"""`mmbench run` on a workflow of two small rules: what it passes on, what it shows, how it ends."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from warm_python import warm_python

from mmbench.cli import run as front
from mmbench.cli.app import main
from mmbench.errors import UserError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
WORKFLOW = """
configfile: "config/config.yaml"

rule masking:
    input:
        "made/first", "made/index.html"

rule train:
    output:
        "made/{method}"
    wildcard_constraints:
        method="first"
    log:
        "log/{method}.log"
    shell:
        "(echo 'first seed 0: step 3/9  loss 0.1  7 images/s  0:02 left'; sleep {config[seconds]}; {config[ends]}) 2>&1"
        " | tee {log}; touch {output}"

rule report:
    input:
        "made/first"
    output:
        "made/index.html"
    shell:
        "echo {config[profile]} > {output}"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a checkout, with this package and another workflow."""
    for folder in ("config/experiments", "config/profiles", "baselines"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "mmbench").symlink_to(ROOT / "mmbench")
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    (tmp_path / "config" / "config.yaml").write_text("profile: quick\nseconds: 0\nends: 'true'\n")
    (tmp_path / "config" / "experiments" / "masking.yaml").write_text("{}\n")
    (tmp_path / "config" / "profiles" / "smoke.yaml").write_text("{}\n")
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "mmbench", "run", *words]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "TERM": "xterm"}


def ran(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [warm_python() / "python", *command(*words)[1:]], cwd=checkout, env=environment(), check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
    )  # fmt: skip


def test_without_a_terminal_there_are_plain_lines(checkout: Path) -> None:
    (checkout / "config" / "deeper").mkdir()
    done = ran(checkout / "config" / "deeper", "masking", "--profile", "smoke", "--cores", "1")
    assert done.returncode == 0, done.stdout
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert "started  train first" in lines and "first seed 0: step 3/9  loss 0.1  7 images/s  0:02 left" in lines
    assert any(
        re.match(r"finished train first; 1/3 jobs, 0 running, 2 waiting, 0:\d\d, about 0:\d\d left", x) for x in lines
    )
    assert re.fullmatch(r"3 of 3 jobs in 0:\d\d; the page is made/index.html", lines[-1])
    assert (checkout / "made" / "index.html").read_text() == "smoke\n"
    again = ran(checkout, "masking", "--profile", "smoke", "--cores", "1")
    assert again.returncode == 0 and "Nothing to be done" in again.stdout and "jobs in" not in again.stdout


def test_a_job_that_fails_says_why_and_the_status_is_passed_on(checkout: Path) -> None:
    done = ran(checkout, "masking", "--cores", "1", "--config", "ends=no-such-program")
    assert done.returncode == 1
    assert re.search(r"failed   train: made/first\n.*step 3/9.*\n.*no-such-program: (command )?not found", done.stdout)
    assert "the whole log: log/first.log" in done.stdout and "0 of 3 jobs" in done.stdout and "1 failed" in done.stdout


def test_on_a_terminal_there_is_one_view(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shown: list[bytes] = []

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 4096)
        shown.append(data)
        return data

    before = os.getcwd(), dict(os.environ)
    os.chdir(checkout)
    os.environ.update(environment())
    try:
        status = pty.spawn(command("masking", "--cores", "1", "--config", "seconds=2"), read)
    finally:
        os.chdir(before[0])
        os.environ.clear()
        os.environ.update(before[1])
    capfd.readouterr()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(shown).decode()).replace("\r", "\n")
    assert os.waitstatus_to_exitcode(status) == 0, text
    assert re.search(r"train +first +0:0\d +step 3/9, 7 images/s, 0:02 left", text), text
    assert "loss 0.1" not in text and "3 of 3 jobs" in text and "━" in text


def test_an_interruption_ends_it_as_it_ends_snakemake(checkout: Path) -> None:
    process = subprocess.Popen(
        command("masking", "--cores", "1", "--config", "seconds=60"), cwd=checkout, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509, a background job ignores it
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (checkout / "log" / "first.log").is_file() and time.monotonic() < deadline:
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 1, said
    assert "0 of 3 jobs" in said
    assert not (checkout / "made" / "first").exists()


def test_what_is_snakemakes_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(front.os, "execve", lambda _program, words, _environment: called.append(words[2:]))
    monkeypatch.chdir(ROOT)
    whole = ["snakemake", "all", "--cores", "all", "--logger", "mmbench"]
    for words, expected in {
        (): whole,
        ("--cores", "3", "-k"): ["snakemake", "all", "--cores", "3", "--logger", "mmbench", "-k"],
        ("masking", "-n"): ["snakemake", "masking", "--cores", "all", "-n"],
        ("--plain",): ["snakemake", "all", "--cores", "all"],
        ("--", "--forcerun", "data"): [*whole, "--forcerun", "data"],
        ("masking", "--forcerun", "data", "cases"): ["snakemake", "masking", *whole[2:], "--forcerun", "data", "cases"],
        ("--profile", "smoke", "--config", "gpu=1"): [*whole, "--config", "profile=smoke", "gpu=1"],
        ("--use-conda", "--profile", "smoke"): [*whole, "--use-conda", "--config", "profile=smoke"],
    }.items():
        called.clear()
        main(["run", *words])
        assert called == [expected and ["-m", *expected][1:]], words


@pytest.mark.parametrize(
    "words, says",
    [
        (["maskin"], "did you mean 'masking'"),
        (["--forcerun", "data"], "data: no experiment; there are .* flags after --"),
        (["--profile", "smok"], "'smok' does not exist .did you mean 'smoke'"),
        (["--config", "gpu"], "'gpu' is not key=value"),
        (["--", "--config", "gpu=1"], "--config: write it before --"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(front.os, "execve", lambda *_: pytest.fail("it ran"))
    with pytest.raises(UserError, match=says):
        main(["run", *words])


def test_jobs_find_this_python_and_the_checkouts_code() -> None:
    made = front.environment(Path("/checkout"), {"PATH": "/bin", "PYTHONPATH": "/mine", "HOME": "/home"})
    assert made["PATH"].split(":") == [str(Path(sys.executable).parent), "/bin"]
    assert made["PYTHONPATH"].split(":") == ["/checkout", "/checkout/mmbench/cli/plugins", "/mine"]
    assert made["HOME"] == "/home"
