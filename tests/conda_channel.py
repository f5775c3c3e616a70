"""A conda channel and a folder of wheels, made of the Python environment that runs the tests: nothing is downloaded.

A `.tar.bz2` package of conda is its files and, in `info/`, what it is called, what it needs and what it holds:
https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath

import rattler
from rattler.index import index_fs

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
FULL = ".".join(map(str, sys.version_info[:3]))


@dataclass(frozen=True)
class Package:
    """What a package of the channel holds: files by their path in the environment, and symbolic links.

    With `pure` it is `noarch: python`: its `site-packages/` goes where the environment's Python looks for it.
    """

    name: str
    version: str
    files: Mapping[str, bytes]
    links: Mapping[str, str]
    depends: Sequence[str] = ()
    pure: bool = False

    def write(self, channel: Path) -> None:
        """Write the package into its platform's folder of the channel."""
        subdir = "noarch" if self.pure else str(rattler.Subdir.current())
        index = {
            "name": self.name,
            "version": self.version,
            "build": "0",
            "build_number": 0,
            "depends": list(self.depends),
            "subdir": subdir,
        } | ({"noarch": "python"} if self.pure else {})
        paths = [_path(name, "hardlink", data) for name, data in self.files.items()]
        paths += [_path(name, "softlink", b"") for name in self.links]
        info = {"info/index.json": index, "info/paths.json": {"paths": paths, "paths_version": 1}}
        folder = channel / subdir
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(folder / f"{self.name}-{self.version}-0.tar.bz2", "w:bz2", compresslevel=1) as archive:
            for name, content in info.items():
                _add(archive, name, json.dumps(content).encode())
            for name, data in self.files.items():
                _add(archive, name, data)
            for name, target in self.links.items():
                member = tarfile.TarInfo(name)
                member.type, member.linkname = tarfile.SYMTYPE, target
                archive.addfile(member)


def _path(name: str, kind: str, data: bytes) -> dict[str, object]:
    digest = hashlib.sha256(data).hexdigest()
    return {"_path": name, "path_type": kind, "sha256": digest, "size_in_bytes": len(data)}


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    archive.addfile(member, io.BytesIO(data))


def python_package() -> Package:
    """An interpreter with a prefix and site-packages of its own; its standard library is that of the running one.

    It is what `python -m venv` makes (PEP 405), which is small, and works wherever the tests' own environment does. A
    `python` of a real channel brings its standard library along. None of the running environment's packages is in it.
    """
    home = Path(sys._base_executable)
    settings = f"home = {home.parent}\ninclude-system-site-packages = false\nversion = {FULL}\n"
    links = {f"bin/python{MINOR}": str(home), "bin/python": f"python{MINOR}"}
    return Package("python", FULL, {"pyvenv.cfg": settings.encode()}, links)


def pure_package(name: str, version: str, modules: Mapping[str, bytes]) -> Package:
    """Python modules, by their paths below site-packages, for any Python."""
    files = {f"site-packages/{path}": data for path, data in modules.items()}
    return Package(name, version, files, {}, depends=["python"], pure=True)


def linked_package(name: str, modules: Sequence[str]) -> Package:
    """Links to modules as they are installed here, for what is too large to be copied, as torch is."""
    site = Path(str(distribution("torch").locate_file("")))
    links = {f"lib/python{MINOR}/site-packages/{module}": str(site / module) for module in modules}
    return Package(name, "1.0", {}, {place: target for place, target in links.items() if Path(target).exists()})


def installed_package(distribution: Distribution) -> Package:
    """A package of pure Python as it is installed here."""
    modules = {str(path): source.read_bytes() for path, source in _installed(distribution)}
    return pure_package(distribution.name.lower(), distribution.version, modules)


def write_channel(channel: Path, packages: Sequence[Package]) -> None:
    """Write packages and the index of them (`repodata.json`) that a solver reads."""
    for package in packages:
        package.write(channel)
    asyncio.run(index_fs(channel, write_zst=False, write_shards=False))


def write_wheel(distribution: Distribution, folder: Path) -> None:
    """A wheel (PEP 427) of a package as it is installed here."""
    facts = (distribution.read_text("WHEEL") or "").splitlines()
    tag = [line.removeprefix("Tag: ") for line in facts if line.startswith("Tag: ")][-1]  # that of the latest Python
    folders = {path.parts[0] for path, _ in _installed(distribution)}
    stem = next(name for name in folders if name.endswith(".dist-info")).removesuffix(".dist-info")
    record = f"{stem}.dist-info/RECORD"
    names = []
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
        for path, source in _installed(distribution):
            if str(path) != record:
                wheel.write(source, str(path))
                names.append(str(path))
        wheel.writestr(record, "".join(f"{name},,\n" for name in [*names, record]))


def _installed(distribution: Distribution) -> Iterator[tuple[PurePosixPath, Path]]:
    """Files of a package: their paths below site-packages and where they are; without what an installer adds."""
    for path in distribution.files or ():
        if ".." not in path.parts and "__pycache__" not in path.parts:
            yield path, Path(str(distribution.locate_file(path)))
