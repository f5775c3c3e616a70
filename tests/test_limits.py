"""Time limits: what hangs is ended, with all that it has started; what it has done is kept, and the page says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from checkout import Checkout, copied, give_networks

from mmbench.config.workflow import Workflow
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError
from mmbench.files.store import read_json
from mmbench.stages import _limited

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
TENTH_OF_A_SECOND = 0.1 / 60

#: In C code that does not give up the interpreter, so that no handler and no thread of Python's runs.
IN_C = "import re; re.match('(a+)+$', 'a' * 60 + 'b')"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
#: As torchrun starts its processes: each in a session of its own.
PARENT = """
import subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", sys.argv[2]], start_new_session=True)
Path(sys.argv[1]).write_text(str(child.pid))
{ends}
time.sleep(600)
"""


def limited(code: str, note: Path, *words: str, minutes: float = TENTH_OF_A_SECOND * 10) -> int:
    """Run some Python for a second."""
    return _limited.run([sys.executable, "-c", code, *words], minutes=minutes, key="limits.train", note=note)


@pytest.mark.parametrize(
    ("code", "ended_by"), [(IN_C, "SIGTERM"), (DEAF, "SIGKILL"), ("import time; time.sleep(600)", "SIGTERM")]
)
def test_what_hangs_is_ended_in_one_line_with_key_and_limit(tmp_path: Path, code: str, ended_by: str) -> None:
    note, begin = tmp_path / "timed_out.json", time.monotonic()
    with pytest.raises(UserError) as error:
        limited(code, note)
    assert time.monotonic() - begin < 20
    assert str(error.value).startswith(f"{tmp_path}: timed out: limits.train is 0.0166667 minutes; raise it in config/")
    said = read_json(note)
    assert (said["key"], said["ended_by"]) == ("limits.train", ended_by)
    assert said["minutes"] * 60 == pytest.approx(1) and said["seconds"] >= 1


@pytest.mark.parametrize("ends", ["", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
def test_so_is_all_that_it_has_started(tmp_path: Path, ends: str) -> None:
    """The child is deaf, and its parent ends at once, or does not."""
    with pytest.raises(UserError):
        limited(PARENT.format(ends=ends), tmp_path / "note.json", str(tmp_path / "pid"), DEAF)
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10  # a busy machine takes its time to end what was killed
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_ends_well_when_it_is_asked_to_is_done(tmp_path: Path) -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(600)"
    assert limited(code, tmp_path / "note.json") == 0
    assert not (tmp_path / "note.json").exists()


@pytest.mark.parametrize("status", [0, 3])
def test_within_the_limit_nothing_changes(tmp_path: Path, status: int) -> None:
    """Input by an open file, as rules give settings; the status; and a note of an earlier end is removed."""
    note = tmp_path / "timed_out.json"
    note.write_text("{}")
    inner = f'{sys.executable} -c "import sys; print(open(sys.argv[1]).read()); sys.exit({status})" <(echo settings)'
    command = f"{sys.executable} -m mmbench.stages._limited --minutes 1 --key limits.data --note {note} -- {inner}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (status, "settings", "")
    assert not note.exists()


def test_a_signal_reaches_the_stage_once(tmp_path: Path) -> None:
    """A second one would end a training before it has kept its state."""
    number = signal.SIGTERM
    code = (
        "import signal, sys, time; from pathlib import Path; seen = []\n"
        f"signal.signal({number}, lambda *_: seen.append(1))\n"
        "Path(sys.argv[1]).touch()\nwhile not seen: time.sleep(0.01)\ntime.sleep(0.5); sys.exit(40 + len(seen))"
    )
    words = ["--minutes", "1", "--key", "limits.train", "--note", str(tmp_path / "note"), "--"]
    words += [sys.executable, "-c", code, str(tmp_path / "ready")]
    heard = signal.signal(number, signal.SIG_DFL)  # a child inherits what is ignored, as by nohup
    run = subprocess.Popen([sys.executable, "-m", "mmbench.stages._limited", *words], cwd=ROOT, start_new_session=True)
    signal.signal(number, heard)
    while not (tmp_path / "ready").exists():
        assert run.poll() is None
        time.sleep(0.02)
    os.killpg(run.pid, number)  # as a terminal does
    assert run.wait(30) == 41


# In the configuration


def workflow(**limits: object) -> Workflow:
    """The profile `smoke` with limits."""
    return Workflow({**read_yaml(ROOT / "config/config.yaml", ROOT), "profile": "smoke", "limits": limits}, ROOT)


def test_the_nearest_limit_holds() -> None:
    config = workflow(**{"train": 60, "train/ddpm": "90.5", "predict/ddpm": 5}).config
    assert config.limit("train", "palette") == ("limits.train", 60)
    assert config.limit("train", "ddpm") == config.limit("train", "ddpm@small") == ("limits.train/ddpm", 90.5)
    assert config.limit("predict", "palette") is None and config.limit("data") is None


def test_a_cluster_is_asked_for_the_longest_and_time_to_stop() -> None:
    run = workflow(**{"train": 60, "train/ddpm": 90.5, "predict/ddpm": 5})
    assert run.runtime("train") == {"runtime": 93}
    assert run.runtime("predict") == run.runtime("data") == {}


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"trian": 1}, "config/config.yaml: limits: 'trian' does not exist (did you mean 'train'?)"),
        ({"train/dppm": 1}, "config/config.yaml: limits: train/dppm: 'dppm' does not exist (did you mean 'ddpm'?)"),
        ({"train": 0}, "config/config.yaml: limits.train: got 0; "),
        ({"train": "long"}, "config/config.yaml: limits.train: got 'long'; "),
    ],
)
def test_a_wrong_limit_is_refused_before_anything_runs(limits: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as error:
        workflow(**limits)
    assert str(error.value).startswith(says)


# In a run

HANGING = """
import re
from pathlib import Path

import torch
from mmbench.method import Method as BaseMethod

TITLE = "Hanging"
TASKS = ("reconstruct",)


class Method(BaseMethod):
    def __init__(self, spec):
        super().__init__(spec)
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.seen = 0

    def loss(self, batch, generator):
        self.seen += 1
        if self.seen == 8 and Path("hang").exists():
            re.match("(a+)+$", "a" * 60 + "b")
        return {"loss": ((batch["masked_image"][:, :3] * self.scale - batch["image"]) ** 2).mean()}

    def predict(self, task, given, count, sampling, generator):
        return {"image": (given["masked_image"][:, :3] * self.scale).clamp(-1, 1)}
"""
OVERRIDE = {
    "experiments": ["masking"],
    "methods": ["hanging", "mean_fill"],
    "train": {"steps": 12, "checkpoint_every": 5},
}


def run(checkout: Checkout, limits: str) -> subprocess.CompletedProcess[str]:
    """The experiment `masking` of two methods."""
    return checkout.smoke("masking", config=[f"override={json.dumps(OVERRIDE)}", f"limits={limits}"])


@pytest.mark.timeout(900)
def test_a_run_goes_on_without_what_hangs_and_later_with_it(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    checkout = copied(tmp_path, warm=True)
    give_networks(checkout, request)
    (checkout.root / "baselines/masking/hanging.py").write_text(HANGING)
    (checkout.root / "hang").touch()
    done = run(checkout, "{train/hanging: 0.2}")
    folder = checkout.results / "masking/hanging/seed0"
    assert done.returncode == 1, done.stdout
    line = "error: results/smoke/masking/hanging/seed0: timed out: limits.train/hanging is 0.2 minutes; "
    assert line in (folder / "log/train.log").read_text()
    assert read_json(folder / "timed_out.json")["key"] == "limits.train/hanging"
    assert (checkout.results / "masking/mean_fill/seed0/metrics.json").is_file()
    page = checkout.results / "unfinished/index.html"
    assert f"what is scored so far: {page.relative_to(checkout.root)}" in done.stdout
    assert "hanging/seed0 (timed out: limits.train/hanging is 0.2 minutes)" in page.read_text()

    (checkout.root / "hang").unlink()
    again = run(checkout, "{train: 10}")
    assert again.returncode == 0, again.stdout
    assert "step 5" in (folder / "log/train.log").read_text()
    assert not (folder / "timed_out.json").exists() and not page.exists()
    assert "Hanging" in (checkout.results / "only-masking/index.html").read_text()
