"""Run folders as each released format has them, kept in the repository: they have to open for ever.

    make golden

Writes ``tests/golden/<formats>/`` with what this version writes; an existing folder is left as it is. To be done once
when the number of a format is raised, and the new folder kept beside the old ones. In it are 48 of scikit-learn's
digits, a run that ended, one that was stopped after its second epoch, and answers.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from whyconv import carrying_out, workflow
from whyconv.demo import load_digits
from whyconv.errors import StoppedError
from whyconv.model_file import FORMAT_VERSION
from whyconv.recognizer import open_recognizer
from whyconv.settings import PLAN_VERSION, Plan
from whyconv.training.checkpoint import STATE_VERSION

GOLDEN = Path(__file__).parent / "golden"
DIGITS, ENDED, STOPPED, ANSWERS = "digits.npz", "ended", "stopped", "answers.json"
_KINDS, _EACH, _STEPS = (0, 1), 24, 6
_RECIPE = {"network": "lesson", "epochs": 4, "batch": 8, "optimizer": "momentum", "learning_rate": 0.02, "size": 6}
# What is left out: pages and tables, which no version reads.
_NOT_KEPT = ("report.html", "MODEL_CARD.md", "predictions.csv", "why.onnx", "features.npy")


def formats() -> str:
    """The numbers of the formats that this version writes: of exported files, of plans, of states."""
    return f"{FORMAT_VERSION}-{PLAN_VERSION}-{STATE_VERSION}"


def make(folder: Path) -> None:
    """Writes everything; the plan names the digits by a relative path, as seen from ``folder``."""
    folder.mkdir(parents=True)
    os.chdir(folder)
    pixels = write_digits(Path(DIGITS))
    drafted = workflow.train(DIGITS, only_model=True, out="drafts", flips="off", test_fraction=0.25, **_RECIPE)
    plan = Plan.read(Path(drafted.run) / "run.toml")
    plan = plan.model_copy(update={"pictures": plan.pictures.model_copy(update={"path": DIGITS, "store": ""})})
    Path("plan.toml").write_text(plan.to_toml())
    keep(Path(workflow.train_from_file(Path("plan.toml"), out="runs").run), Path(ENDED))
    with stopped_after(_STEPS):
        try:
            workflow.train_from_file(Path("plan.toml"), out="runs")
        except StoppedError:
            keep(max(Path("runs").iterdir()), Path(STOPPED))
    Path(ANSWERS).write_text(json.dumps(open_recognizer(ENDED).predict_proba(pixels).tolist()))
    for name in ("drafts", "runs", "plan.toml"):
        shutil.rmtree(name, ignore_errors=True) if Path(name).is_dir() else Path(name).unlink()


def write_digits(path: Path) -> np.ndarray:
    """Writes some digits of each kind, and returns their pixels (n, 8, 8, 1)."""
    pixels, labels, _ = load_digits()
    rows = np.concatenate([np.flatnonzero(labels == kind)[:_EACH] for kind in _KINDS])
    np.savez(path, x=pixels[rows], y=labels[rows])
    return pixels[rows][..., None]


def keep(run: Path, place: Path) -> None:
    shutil.copytree(run, place, ignore=shutil.ignore_patterns(*_NOT_KEPT, "*.lock"))
    for older in sorted(place.glob("checkpoints/*"))[:-1]:
        older.unlink()


@contextmanager
def stopped_after(steps: int) -> Iterator[None]:
    """Trainings in the block are told to stop after so many steps."""
    asked = iter(range(steps - 1))
    before = carrying_out.stop_requests

    @contextmanager
    def requests() -> Iterator[Callable[[], int]]:
        yield lambda: 143 if next(asked, None) is None else 0

    carrying_out.stop_requests = requests
    try:
        yield
    finally:
        carrying_out.stop_requests = before


def main() -> None:
    place = GOLDEN / formats()
    if place.exists():
        sys.exit(f"{place} is there; raise the number of a format first.")
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_CACHE_HOME"] = str(Path(temporary) / "cache")
        make(Path(temporary) / "made")
        shutil.copytree(Path(temporary) / "made", place)
    size = sum(each.stat().st_size for each in place.rglob("*") if each.is_file())
    sys.stdout.write(f"{place}: {size:,} bytes\n")


if __name__ == "__main__":
    main()
