"""What a run's manifest says, and whether it is noticed when it is no longer true."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_results import METHODS, write_results

from mmbench.__main__ import main as command
from mmbench.config.configuration import Config
from mmbench.config.yaml_files import read_yaml
from mmbench.errors import UserError
from mmbench.files.store import read_json, sha256_file, write_json
from mmbench.runs import verify
from mmbench.runs.keep import keep
from mmbench.runs.manifest import NAME, make_manifest, read_manifest
from mmbench.runs.manifest_schema import Manifest
from mmbench.runs.provenance import provenance
from mmbench.runs.verify import check_files, configuration_notes, notes
from mmbench.stages import manifest as stage

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DDPM = "masking/ddpm/seed0"
OTHER = "0" * 40
KEPT = sorted((ROOT / "results" / "reference").glob("*/manifest.json"))


def configured(**keys: object) -> dict:
    """What the workflow says was configured."""
    return Config(read_yaml(ROOT / "config/config.yaml", ROOT) | {"profile": "smoke", **keys}, ROOT).described()


def link(folder: Path) -> None:
    """Give the records of a run the provenance that stages write."""
    card, cases, made = folder / "data" / "card.json", folder / "masking", provenance({}, {})
    for seed in folder.glob("masking/*/seed*"):
        inputs = {
            "training.json": {"data": card},
            "predictions.json": {"cases": cases / "cases.json"},
            "metrics.json": {"predictions": seed / "predictions.npz", "cases": cases / "cases.npz"},
        }
        for name, paths in inputs.items():
            hashes = {key: sha256_file(path) for key, path in paths.items()}
            write_json(seed / name, read_json(seed / name) | {"provenance": made | {"inputs_sha256": hashes}})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of three methods and two seeds, with a page and a manifest."""
    methods = [method for method in METHODS if method.name in ("mt_diffusion", "ddpm", "mean_fill")]
    folder = write_results(tmp_path / "smoke", methods=methods, seeds=(0, 1), items=4)
    link(folder)
    (folder / "tables").mkdir()
    (folder / "index.html").write_text("page")
    (folder / "tables" / "overview.csv").write_text("a,b\n")
    (folder / DDPM / "log").mkdir()
    (folder / DDPM / "log" / "train.log").write_text("said")
    (folder / "masking" / ".cases-half.npz").write_text("half")
    write(folder, make_manifest(folder, folder, command="snakemake", configuration=configured()))
    return folder


def write(folder: Path, manifest: Manifest) -> None:
    write_json(folder / NAME, manifest.model_dump(mode="json"))


def says(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """The exit status of `python -m mmbench`, and what it printed."""
    try:
        command([*map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0), capsys.readouterr().out
    return 0, capsys.readouterr().out


class TestManifest:
    def test_every_file_is_in_it_but_what_is_no_result(self, run: Path) -> None:
        files = read_manifest(run / NAME).files
        real = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()}
        assert real - files.keys() == {NAME, f"{DDPM}/log/train.log", "masking/.cases-half.npz"}
        assert files.keys() <= real
        for name, content in files.items():
            assert (content.sha256, content.bytes) == (sha256_file(run / name), (run / name).stat().st_size)

    def test_it_says_what_the_records_say(self, run: Path) -> None:
        path = run / DDPM / "training.json"
        record = read_json(path)
        record["provenance"] |= {"git_sha": OTHER, "git_dirty": True, "lock_sha256": None, "finished": "2001"}
        write_json(path, record | {"hardware": {"device": "cuda", "threads": 2, "gpu": "A card"}})
        found = make_manifest(run, run)
        here = provenance({}, {})
        shas = {code.git_sha: code for code in found.code}
        assert shas.keys() == {OTHER, here["git_sha"]}
        assert (shas[OTHER].git_dirty, shas[OTHER].lock_sha256, shas[OTHER].records) == (True, None, 1)
        assert shas[here["git_sha"]].lock_sha256 == sha256_file(ROOT / "requirements.lock")
        assert shas[here["git_sha"]].records == 3 * 2 * 3 - 1
        assert [one.packages for one in found.environments] == [here["packages"]]
        assert {(one.device, one.threads, one.gpu) for one in found.hardware} == {
            ("cpu", None, None),
            ("cuda", 2, "A card"),
        }
        assert (found.seeds, found.first_finished) == ([0, 1], "2001")
        assert found.data["data"]["train"].count == 400

    def test_what_it_took_is_summed_over_seeds_and_methods(self, run: Path) -> None:
        found = make_manifest(run, run)
        ddpm = found.methods["masking/ddpm"]
        assert (ddpm.train_seconds, ddpm.training_flops, ddpm.predict_seconds) == (160, 8.2e13, 6)
        assert (ddpm.trained, ddpm.scored, ddpm.evaluate_seconds) == ([0, 1], [0, 1], None)
        assert (found.took.training_flops, found.methods["masking/mean_fill"].training_flops) == (2 * 8.2e13, 0)
        shutil.rmtree(run / "masking/mean_fill")
        for seed in (0, 1):
            (run / f"masking/mt_diffusion/seed{seed}/training.json").unlink()
        found = make_manifest(run, run)
        assert (found.methods["masking/mt_diffusion"].train_seconds, found.took.train_seconds) == (None, 160)

    def test_a_page_of_a_part_has_the_files_of_that_part(self, run: Path) -> None:
        report = run / "only-masking"
        report.mkdir()
        (report / "index.html").write_text("page of a part")
        found = make_manifest(run, report, methods=["masking/ddpm"], seeds=[1])
        assert (found.results, found.profile, found.seeds) == ("..", "smoke", [1])
        assert {name.rpartition("/")[0] for name in found.files} == {
            "data",
            "masking",
            "masking/ddpm/seed1",
            "only-masking",
        }
        write(report, found)
        assert not check_files(report, found).failed

    def test_the_configuration_is_the_workflows_or_else_the_records(self, run: Path) -> None:
        given = read_manifest(run / NAME).configuration
        assert given.source == "workflow" and given.values["profile"]["sample"]["nfe"] == 4
        found = make_manifest(run, run).configuration
        assert found.source == "records"
        assert [(t.settings["train"]["steps"], len(t.of)) for t in found.trainings] == [(600, 6)]

    def test_the_command_writes_the_same_again(self, run: Path) -> None:
        write_json(run / "c.json", configured())
        before = (run / NAME).read_bytes()
        stage.main(["--results", str(run), "--command", "snakemake", "--configuration", str(run / "c.json")])
        assert (run / NAME).read_bytes() == before


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


class TestVerify:
    def test_a_run_that_is_as_it_was(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        status, out = says(capsys, "verify", run)
        count = len(read_manifest(run / NAME).files)
        assert status == 0
        assert out.splitlines()[-1].startswith(f"ok: {run}: {count} files unchanged, 0 changed, 0 missing, 0 new")

    @pytest.mark.parametrize(
        ("change", "line"),
        [
            (lambda run: append(run / DDPM / "items.csv"), f"changed {DDPM}/items.csv"),
            (lambda run: (run / DDPM / "predictions.npz").unlink(), f"missing {DDPM}/predictions.npz"),
        ],
    )
    def test_what_changed_or_is_missing_is_named(
        self, run: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], None], line: str
    ) -> None:
        change(run)
        status, out = says(capsys, "verify", run)
        assert status == 1 and line in out.splitlines() and out.splitlines()[-2].startswith("FAILED: ")
        assert "make them again: snakemake" in out.splitlines()[-1]

    def test_what_is_new_is_named_and_no_failure(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        shutil.copytree(run / "masking/ddpm", run / "masking/copied")
        status, out = says(capsys, "verify", run)
        assert status == 0 and "new     masking/copied/seed0/metrics.json" in out.splitlines()

    @pytest.mark.parametrize(
        ("file", "line"),
        [
            (f"{DDPM}/predictions.npz", f"{DDPM}/metrics.json: made from another {DDPM}/predictions.npz"),
            ("masking/cases.json", f"{DDPM}/predictions.json: made from another masking/cases.json"),
            ("data/card.json", f"{DDPM}/training.json: made from other data"),
        ],
    )
    def test_numbers_of_other_files_are_noticed_whatever_the_manifest_says(
        self, run: Path, file: str, line: str
    ) -> None:
        append(run / file)
        found = check_files(run, make_manifest(run, run))
        assert line in found.broken and found.failed and not found.changed

    def test_another_checkout_is_a_note(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = read_manifest(run / NAME)
        now = provenance({}, {}) | {"git_sha": OTHER, "git_dirty": False, "lock_sha256": "ab" * 32, "python": "2.7"}
        monkeypatch.setattr(verify, "provenance", lambda *_: now)
        said = list(notes(found))
        assert f"this checkout is at {OTHER[:12]}" in said[0]
        assert said[1].startswith("lock: ") and said[1].endswith("here it is abababababab")
        assert said[2].startswith("python: ") and said[2].endswith(" -> 2.7")
        assert len(said) == 3

    def test_another_configuration_is_a_note(self, run: Path) -> None:
        made = make_manifest(run, run, configuration=configured(override={"train": {"steps": 9}}))
        assert list(configuration_notes(made, ROOT)) == []
        values = made.configuration.values
        values["profile"]["seeds"] = [7]
        del values["experiments"]["masking"]["variants"]["ddpm@per_task"]
        assert list(configuration_notes(made, ROOT)) == [
            "profile.seeds: [7] -> [0]",
            "experiments.masking.variants.ddpm@per_task: absent -> {'budget': 'per_task'}",
        ]
        from_records = list(configuration_notes(make_manifest(run, run), ROOT))
        assert "masking/ddpm.train.steps: 600 -> 6" in from_records
        renamed = made.model_copy(update={"configuration": made.configuration.model_copy(update={"profile": "gone"})})
        assert "'gone' does not exist" in next(configuration_notes(renamed, ROOT))


class TestKeep:
    def test_small_files_are_copied_and_large_ones_told_apart_from_lost_ones(self, run: Path, tmp_path: Path) -> None:
        out = tmp_path / "kept" / "smoke"
        made = keep(run, out)
        here = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
        assert here == {*made.files, NAME} and read_manifest(out / NAME) == made
        assert not any(name.endswith((".npz", "items.csv")) for name in here)
        assert f"{DDPM}/predictions.npz" in made.left_out and "data/card.json" in made.files
        assert made.files | made.left_out == read_manifest(run / NAME).files
        assert not (found := check_files(out, made)).failed and not found.new
        (out / DDPM / "metrics.json").unlink()
        assert check_files(out, made).missing == [f"{DDPM}/metrics.json"]
        (out / DDPM / "predictions.npz").write_bytes(b"other")
        assert check_files(out, made).changed == [f"{DDPM}/predictions.npz"]

    def test_an_earlier_copy_is_replaced_and_nothing_else(self, run: Path, tmp_path: Path) -> None:
        out = tmp_path / "kept"
        keep(run, out)
        (out / "old.txt").write_text("old")
        keep(run, out)
        assert not (out / "old.txt").exists()
        with pytest.raises(UserError, match="holds no page"):
            keep(run, tmp_path)

    def test_a_run_that_changed_is_not_kept(self, run: Path, tmp_path: Path) -> None:
        keep(run, tmp_path / "kept")
        append(run / DDPM / "metrics.json")
        with pytest.raises(UserError, match="finish the run"):
            keep(run, tmp_path / "kept")
        assert (tmp_path / "kept" / "index.html").is_file()
        assert {p.name for p in tmp_path.iterdir()} == {"smoke", "kept"}


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.parent.name)
def test_the_runs_of_this_repository_are_as_they_were(path: Path) -> None:
    found = check_files(path.parent, read_manifest(path))
    assert not found.failed and not found.new, found
