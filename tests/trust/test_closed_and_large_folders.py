"""Folders and files that may not be read, and folders of a hundred thousand files or ten thousand classes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import whyconv
from odd_folders import good
from scenes import png, scene
from tiny_model import write_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="rights and measurements of Linux")

# Of root no file is closed, but for its rights to pass over the rights of files.
WITHOUT_RIGHTS = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)
VERB = "import sys; from whyconv.cli import main; main(sys.argv[1:])"
# Peak memory in MB beyond what the modules take, and seconds; then what the verb itself prints.
MEASURED = """
import resource, sys, time
from whyconv import inspection
from whyconv.images import decode
from whyconv.recognizer import open_recognizer
from whyconv.cli import main
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
try:
    main(sys.argv[1:])
finally:
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"measured {peak:.1f} {time.perf_counter() - began:.2f}")
"""


# What becomes of places that may not be entered, and of those that may not be written to.
ASKED = """
import sys
from pathlib import Path
from whyconv.errors import WhyconvError
from whyconv.images.cache import list_stores
from whyconv.lock import sole_writer
from whyconv.machine import free_disk_bytes
from whyconv.model_file import find_model
place = Path(sys.argv[1])
def lock():
    with sole_writer(place, place / "lock", doing="uses", then="try again."):
        pass
print(free_disk_bytes(place / "whyconv") > 0)
for call in (lambda: find_model(place / "pets-1"), lambda: list_stores(place / "whyconv"), lock):
    try:
        print(call())
    except WhyconvError as error:
        print(type(error).__name__, str(error).replace(str(place), "PLACE"))
"""


def run_code(code: str, place: Path, *words: object, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    package = str(Path(whyconv.__file__).parents[1])
    environment = os.environ | {"XDG_CACHE_HOME": str(place / "cache"), "LANG": "C.UTF-8", "PYTHONPATH": package}
    command = [*wrapper, sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=place, timeout=600, check=False)


def run_closed(place: Path, *words: object, code: str = VERB) -> subprocess.CompletedProcess[str]:
    """A verb, or other code, as somebody of whom files are closed."""
    is_root = os.geteuid() == 0
    if is_root and shutil.which("setpriv") is None:
        pytest.skip("setpriv is not there to give up the rights of root")
    return run_code(code, place, *words, wrapper=WITHOUT_RIGHTS if is_root else ())


def test_what_may_not_be_read_is_named_and_the_rest_is_used(tmp_path: Path) -> None:
    folder, model = good(tmp_path / "set"), write_model(tmp_path / "model.onnx")
    good(folder, ("emu",), 2)
    (folder / "cat" / "0.png").chmod(0)
    (folder / "emu").chmod(0)
    checked = run_closed(tmp_path, "check", folder)
    assert checked.returncode == 0, checked.stderr
    assert re.search(r"cat/0\.png +no permission to read the file", checked.stderr)
    assert re.search(r"may not be opened, left out: 1\s+\(emu\)", checked.stderr)
    predicted = run_closed(tmp_path, "predict", model, folder)
    assert predicted.returncode == 3
    assert len(predicted.stdout.splitlines()) == 13
    assert predicted.stdout.count("error: no permission to read the file") == 1
    assert re.search(r"emu +error: the folder may not be opened: permission denied", predicted.stdout)
    assert "2 of 13 files could not be read" in predicted.stderr


def test_a_closed_file_among_several_is_a_row(tmp_path: Path) -> None:
    folder, model = good(tmp_path / "set"), write_model(tmp_path / "model.onnx")
    paths = sorted((folder / "cat").iterdir())
    paths[0].chmod(0)
    predicted = run_closed(tmp_path, "predict", model, *paths)
    assert predicted.returncode == 3, predicted.stderr
    assert len(predicted.stdout.splitlines()) == len(paths)
    assert predicted.stdout.count("error: no permission to read the file") == 1
    model.chmod(0)
    refused = run_closed(tmp_path, "predict", model, paths[1])
    assert (refused.returncode, refused.stdout) == (1, ""), refused.stderr
    assert "Error: " in refused.stderr
    assert "ermission" in refused.stderr


@pytest.mark.parametrize("what", ["the folder", "its labels file", "every picture"])
def test_what_is_closed_altogether_is_one_message(what: str, tmp_path: Path) -> None:
    folder = good(tmp_path / "set")
    if what == "the folder":
        folder.chmod(0)
    elif what == "its labels file":
        (folder / "labels.csv").write_text("file_name,label\ncat/0.png,cat\n")
        (folder / "labels.csv").chmod(0)
    else:
        for path in folder.glob("*/*"):
            path.chmod(0)
    checked = run_closed(tmp_path, "check", folder)
    assert checked.returncode == 3, checked.stderr
    assert "Traceback" not in checked.stderr
    message = " ".join(checked.stderr.split("Error: ")[1].split())
    assert re.search("permission", message)
    assert re.search(r"Expected|Copy or download|may be read", message), message


def test_a_place_that_may_not_be_entered_is_said_by_all_who_ask(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0)
    asked = run_closed(tmp_path, tmp_path / "theirs", code=ASKED)
    assert asked.returncode == 0, asked.stderr
    has_disk, model, cache, lock = asked.stdout.splitlines()
    assert has_disk == "True"
    assert model == "ModelFileError PLACE/pets-1 cannot be read: Permission denied."
    assert cache.startswith("StorageError The cache PLACE/whyconv cannot be read: Permission denied. Name another")
    assert lock.startswith("StorageError PLACE/lock cannot be written: Permission denied. Expected a folder")


def many_files(folder: Path, num: int) -> Path:
    """Different pictures of 8 x 8 pixels, all in one folder of one class, and a second class."""
    good(folder, ("dog",), 2)
    place = folder / "cat"
    place.mkdir()
    pictures = [png(scene(seed, 8, 8)) for seed in range(50)]
    for number in range(num):
        (place / f"{number}.png").write_bytes(pictures[number % 50] + number.to_bytes(4, "big"))
    return folder


def assert_modest(done: subprocess.CompletedProcess[str], most_megabytes: float, most_seconds: float) -> None:
    megabytes, seconds = map(float, done.stdout.split("measured ")[1].split())
    assert megabytes < most_megabytes
    assert seconds < most_seconds


@pytest.mark.parametrize(("num", "most_seconds"), [(1_500, 60), pytest.param(100_000, 600, marks=pytest.mark.long)])
def test_many_files_in_one_folder(num: int, most_seconds: float, tmp_path: Path) -> None:
    folder, model = many_files(tmp_path / "set", num), write_model(tmp_path / "model.onnx")
    checked = run_code(MEASURED, tmp_path, "check", folder)
    assert checked.returncode == 0, checked.stderr
    assert f"{num + 2:,} pictures, 2 classes" in checked.stderr
    assert_modest(checked, 60 + num / 200, most_seconds)  # 5 kB a picture: its row, its name, its place among copies
    predicted = run_code(MEASURED, tmp_path, "predict", model, folder, "--to", tmp_path / "rows.csv")
    assert predicted.returncode == 0, predicted.stderr
    assert (tmp_path / "rows.csv").read_text().count("\n") == num + 3
    assert_modest(predicted, 60 + num / 1000, most_seconds)


@pytest.mark.parametrize("num", [150, pytest.param(10_000, marks=pytest.mark.long)])
def test_many_classes(num: int, tmp_path: Path) -> None:
    for label in range(num):
        place = tmp_path / "set" / f"class {label}"
        place.mkdir(parents=True)
        for index in range(2):
            (place / f"{index}.png").write_bytes(png(scene(2 * label + index, 8, 8)))
    checked = run_code(MEASURED, tmp_path, "check", tmp_path / "set")
    assert checked.returncode == 0, checked.stderr
    assert f"{2 * num:,} pictures, {num:,} classes" in checked.stderr
    assert len(checked.stderr.splitlines()) < 60
    assert_modest(checked, 60 + num / 50, 600)
