"""A finished run in a bucket: `workflow/upload.smk`, Snakemake's storage plugin and a server of S3 in this process."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from checkout import NOTHING_TO_DO, Checkout
from fake_results import METHODS, write_results

from mmbench.files.store import sha256_file, write_json
from mmbench.runs.manifest import NAME, make_manifest, read_manifest
from mmbench.runs.verify import check_files

pytestmark = pytest.mark.slow

boto3 = pytest.importorskip("boto3", reason="the extra `s3` is not installed")
server = pytest.importorskip("moto.server", reason="moto, which answers as S3, is not installed")

ROOT = Path(__file__).parents[1]
TO = "s3://results/mmbench/smoke"
PREFIX = "mmbench/smoke/"


@dataclass(frozen=True)
class Cloud:
    """A server of S3, and a folder with a run in it to upload from.

    Attributes:
        run: the run.
        here: where Snakemake is called.
        s3: the server, for boto3.
    """

    run: Path
    here: Checkout
    s3: Any

    def upload(self, *config: str) -> tuple[int, str]:
        """Exit status and output of an upload."""
        snakefile = str(ROOT / "workflow" / "upload.smk")
        done = self.here.snakemake("--snakefile", snakefile, "--cores", "2", *(["--config", *config] if config else []))
        return done.returncode, done.stdout

    def objects(self) -> dict[str, bytes]:
        """What is in the bucket, by key; nothing if there is no bucket."""
        if not list(self.s3.buckets.all()):
            return {}
        return {item.key: item.get()["Body"].read() for item in self.s3.Bucket("results").objects.all()}


def finish(run: Path) -> None:
    """Write the manifest of what is there."""
    write_json(run / NAME, make_manifest(run, run).model_dump(mode="json"))


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A run of one method, and no bucket yet."""
    methods = [method for method in METHODS if method.name == "mean_fill"]
    run = write_results(tmp_path / "results" / "smoke", methods=methods, seeds=(0,), items=4)
    (run / "tables").mkdir()
    (run / "tables" / "overview.csv").write_text("a,b\n")
    (run / "index.html").write_text("page")
    finish(run)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    answering = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    answering.start()
    try:
        address = "http://{}:{}".format(*answering.get_host_and_port())
        urlopen(Request(f"{address}/moto-api/reset", method="POST")).close()  # what it holds is of this process
        keys = {"ACCESS_KEY": "key", "SECRET_KEY": "secret", "ENDPOINT_URL": address}
        environment = os.environ | {f"SNAKEMAKE_STORAGE_S3_{name}": value for name, value in keys.items()}
        s3 = boto3.resource("s3", region_name="us-east-1", endpoint_url=address, aws_access_key_id="key",
                            aws_secret_access_key="secret")  # fmt: skip
        yield Cloud(run, Checkout(tmp_path, environment, warm=True), s3)
    finally:
        answering.stop()


def test_the_bucket_has_every_file_of_the_run_and_only_changes_are_uploaded_again(cloud: Cloud, tmp_path: Path) -> None:
    config = ("run=results/smoke", f"to={TO}")
    status, said = cloud.upload(*config)
    assert status == 0, said
    manifest = read_manifest(cloud.run / NAME)
    uploaded = {key.removeprefix(PREFIX): hashlib.sha256(body).hexdigest() for key, body in cloud.objects().items()}
    known = {name: content.sha256 for name, content in manifest.files.items()}
    assert uploaded == known | {NAME: sha256_file(cloud.run / NAME)}
    assert any(name.endswith(".npz") for name in uploaded) and len(uploaded) > 8

    status, said = cloud.upload(*config)
    assert status == 0 and NOTHING_TO_DO in said, said

    (cloud.run / "tables" / "overview.csv").write_text("a,c\n")
    finish(cloud.run)
    status, said = cloud.upload(*config)
    assert status == 0 and "3 of 3 steps (100%) done" in said, said  # the table, the manifest, and the target

    copy = tmp_path / "downloaded"
    for key, body in cloud.objects().items():
        path = copy / key.removeprefix(PREFIX)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    found = check_files(copy, read_manifest(copy / NAME))
    assert not found.failed and not found.new and found.kept == len(manifest.files)
    assert (copy / "tables" / "overview.csv").read_text() == "a,c\n"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ((), "error: --config: run and to not set; write --config run=results/quick to=s3://"),
        (("run=results/other", f"to={TO}"), "error: results/other/manifest.json: no such file"),
        (("run=results/smoke", "to=s3://results/{name}"), "error: --config: to: 's3://results/{name}' is not an add"),
    ],
)
def test_a_mistake_is_one_line(cloud: Cloud, config: tuple[str, ...], says: str) -> None:
    status, said = cloud.upload(*config)
    assert status == 1 and said.splitlines()[-1].startswith(says), said
    assert "Traceback" not in said and not cloud.objects()


def test_a_run_that_is_not_as_its_manifest_says_is_not_uploaded(cloud: Cloud) -> None:
    (cloud.run / "index.html").write_text("another page")
    status, said = cloud.upload("run=results/smoke", f"to={TO}")
    assert status == 1 and said.splitlines()[-1].startswith("error: results/smoke: is not as its manifest says"), said
    assert not cloud.objects()


def test_results_in_a_bucket_from_the_start_are_refused_in_one_line(cloud: Cloud) -> None:
    here = Checkout(ROOT, cloud.here.environment, warm=True)
    done = here.smoke("--dry-run", "--default-storage-provider", "s3", "--default-storage-prefix", "s3://results")
    assert done.returncode == 1 and done.stdout.splitlines()[-1].startswith("error: --default-storage-provider: ")


def test_the_document_shows_the_command() -> None:
    text = (ROOT / "docs" / "cluster.md").read_text()
    assert "\nsnakemake --snakefile workflow/upload.smk --cores 4 --config run=results/quick to=s3://my-bucket/" in text
