"""What lies in the folders of a data set: nothing that may be an item is left out in silence, by any loader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from test_data import picture, refused

from mmbench import data
from mmbench.data import SPLITS, DataSettings, load
from mmbench.runs.records import read_card
from mmbench.stages.data import prepare


@dataclass(frozen=True)
class Layout:
    """A loader, a folder that it reads pictures in, and how the names of those begin and end."""

    name: str
    pictures: str
    ending: str = ".png"
    classes: str = ""
    class_ending: str = ""
    beside: str = ""  # a folder of folders of pictures


LAYOUTS = [
    Layout("image_folder", "cat", beside="."),
    Layout("image_folder", "train/cat", beside="train"),
    Layout("camvid", "train", classes="trainannot", class_ending=".png"),
    Layout("cityscapes", "leftImg8bit/train/aachen", "_leftImg8bit.png", "gtFine/train/aachen",
           "_gtFine_labelIds.png", beside="leftImg8bit/train"),
]  # fmt: skip
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.name} {layout.pictures}")


def put(folder: Path, layout: Layout, stem: str, number: int) -> None:
    """A picture, with its class map where the layout has one."""
    path = folder / layout.pictures / f"{stem}{layout.ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(number)).save(path)
    if layout.classes:
        (folder / layout.classes).mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 16), 1).save(folder / layout.classes / f"{stem}{layout.class_ending}")


def put_stray(settings: DataSettings, folder: str, name: str) -> Path:
    """A picture where the data set has none."""
    path = Path(settings.root or "") / folder / name
    Image.fromarray(picture(0)).save(path)
    return path


@pytest.fixture
def fill(tmp_path: Path) -> Callable[[Layout], DataSettings]:
    """Makes a data set of 12 pictures where `layout` reads them, and some in its other splits."""

    def make(layout: Layout) -> DataSettings:
        for number in range(12):
            put(tmp_path, layout, f"f{number}", number)
        others = {"cat": ("dog",), "train/cat": ("val/cat", "test/cat"), "train": ("val", "test")}
        others["leftImg8bit/train/aachen"] = ("leftImg8bit/train/ulm", "leftImg8bit/val/munster")
        for k, place in enumerate(others[layout.pictures]):
            classes = place.replace("leftImg8bit", "gtFine") if "/" in place else f"{place}annot"
            other = Layout(layout.name, place, layout.ending, classes if layout.classes else "", layout.class_ending)
            for number in range(30):
                put(tmp_path, other, f"g{number}", 100 * (k + 1) + number)
        return DataSettings(layout.name, (16, 20), root=str(tmp_path))

    return make


def whole(settings: DataSettings) -> set[bytes]:
    """Every picture of all splits."""
    return {item.tobytes() for split in SPLITS for item in load(split, settings)["image"]}


HIDDEN = ("._f1.png", ".DS_Store", "Thumbs.db", "desktop.ini")
HIDDEN_FOLDERS = (".ipynb_checkpoints", "@eaDir", "__MACOSX", ".git")


@every_layout
def test_what_systems_make_is_passed_over(layout: Layout, fill: Callable[[Layout], DataSettings]) -> None:
    settings = fill(layout)
    before = whole(settings)
    for place in filter(None, (layout.pictures, layout.classes, layout.beside)):
        for name in HIDDEN:
            (Path(settings.root or "") / place / name).write_bytes(b"\0\5\x16\7")
        for name in HIDDEN_FOLDERS:
            (Path(settings.root or "") / place / name).mkdir()
            Image.fromarray(picture(999)).save(Path(settings.root or "") / place / name / f"f1{layout.ending}")
    assert whole(settings) == before
    assert data.other_files(settings) == {}


@every_layout
@pytest.mark.parametrize("change", [str.upper, str.title])
def test_the_case_of_a_suffix_does_not_matter(
    layout: Layout, change: Callable[[str], str], fill: Callable[[Layout], DataSettings]
) -> None:
    settings = fill(layout)
    before = whole(settings)
    for place, ending in ((layout.pictures, layout.ending), (layout.classes, layout.class_ending)):
        for path in sorted((Path(settings.root or "") / place).glob(f"f[0-5]{ending}")) if place else ():
            path.rename(path.with_name(path.name.replace(ending, change(ending))))
    after = whole(settings)
    assert after == before


@every_layout
def test_a_folder_among_pictures_is_refused(layout: Layout, fill: Callable[[Layout], DataSettings]) -> None:
    settings = fill(layout)
    for place in filter(None, (layout.pictures, layout.classes)):
        deeper = Path(settings.root or "") / place / "more"
        deeper.mkdir()
        for number in range(20):
            Image.fromarray(picture(number)).save(deeper / f"h{number}{layout.ending}")
        assert refused(settings).startswith(f"{deeper}: a folder among images")
        deeper.rename(deeper.with_name(".more"))


@every_layout
def test_a_picture_beside_the_folders_is_refused(layout: Layout, fill: Callable[[Layout], DataSettings]) -> None:
    if not layout.beside:
        pytest.skip("has no folders of folders")
    settings = fill(layout)
    stray = put_stray(settings, layout.beside, "stray.JPG")
    assert refused(settings).startswith(f"{stray}: an image beside the folders")


@pytest.mark.parametrize("layout", LAYOUTS[2:], ids=lambda layout: layout.name)
def test_a_picture_of_another_kind_is_refused(layout: Layout, fill: Callable[[Layout], DataSettings]) -> None:
    settings = fill(layout)
    other = put_stray(settings, layout.pictures, "f99.jpg")
    assert refused(settings).startswith(f"{other}: does not end in {layout.ending}")


@pytest.mark.parametrize("layout", LAYOUTS[2:], ids=lambda layout: layout.name)
def test_a_frame_is_there_once(layout: Layout, fill: Callable[[Layout], DataSettings]) -> None:
    settings = fill(layout)
    for place, ending in ((layout.pictures, layout.ending), (layout.classes, layout.class_ending)):
        path = Path(settings.root or "") / place / f"f3{ending}"
        twin = path.with_name(f"f3{ending.upper()}")
        twin.write_bytes(path.read_bytes())
        assert str(path) in refused(settings) and "exists beside" in refused(settings)
        twin.unlink()


@every_layout
def test_other_files_are_counted(
    layout: Layout,
    fill: Callable[[Layout], DataSettings],
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings, out = fill(layout), tmp_path_factory.mktemp("prepared")
    before = whole(settings)
    for name in ("a.txt", "b.TXT", "c.heic", "README"):
        (Path(settings.root or "") / layout.pictures / name).write_text("no picture")
    assert whole(settings) == before
    prepare(settings, out)
    assert read_card(out)["other_files"] == {"(no suffix)": 1, ".heic": 1, ".txt": 2}
    assert "1 (no suffix), 1 .heic, 2 .txt" in capsys.readouterr().out


def test_folders_beside_the_splits_are_counted(fill: Callable[[Layout], DataSettings], tmp_path: Path) -> None:
    settings = fill(LAYOUTS[1])
    (tmp_path / "unlabelled").mkdir()
    Image.fromarray(picture(0)).save(tmp_path / "unlabelled" / "a.png")
    assert data.other_files(settings) == {"unlabelled/": 1}


def test_validation_has_one_folder(fill: Callable[[Layout], DataSettings], tmp_path: Path) -> None:
    settings = fill(LAYOUTS[1])
    (tmp_path / "validation" / "cat").mkdir(parents=True)
    assert refused(settings).startswith(f"{tmp_path / 'validation'}: exists beside {tmp_path / 'val'}")
