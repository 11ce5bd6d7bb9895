"""Unsure on classes never seen: each class in turn is left out of training, and its test pictures are to be told.

    python benchmarks/left_out_class.py SET --out results.json [--epochs 30] [--classes 3 8]

``SET`` has train/ and test/ with a folder for each class. For every class a recognizer is trained without it; the area
under the curve between the test pictures of the others and those of the class is compared for novelty and for the
probability of the first answer, and the fraction called unsure is counted on both. One line a class; JSON holds all.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from whyconv.novelty.fitting import area_under_curve
from whyconv.recognizer import open_recognizer
from whyconv.training.intervals import fraction
from whyconv.workflow import train


def main() -> None:
    words = _words()
    classes = sorted(folder.name for folder in (words.pictures / "train").iterdir() if folder.is_dir())
    rows = []
    for left_out in words.classes or classes:
        with tempfile.TemporaryDirectory() as place:
            rows.append(_row(words, classes, left_out, Path(place)))
        print(json.dumps(rows[-1]), flush=True)
        words.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    won = sum(row["novelty"] > row["probability"] for row in rows)
    print(f"novelty above the first probability in {won} of {len(rows)} classes")


def _row(words: argparse.Namespace, classes: list[str], left_out: str, place: Path) -> dict[str, object]:
    """Trains without one class, and judges."""
    for part in ("train", "test"):
        for name in classes:
            if name != left_out:
                (place / "set" / part).mkdir(parents=True, exist_ok=True)
                (place / "set" / part / name).symlink_to((words.pictures / part / name).resolve())
    asked = {name: getattr(words, name) for name in ("epochs", "seed", "start", "size", "threads")} | {"search": "off"}
    asked = {key: value for key, value in asked.items() if value is not None}
    run = train(str(place / "set"), out=str(place / "runs"), **asked)
    recognizer = open_recognizer(Path(run.run))
    known = recognizer.ask(place / "set" / "test")
    unknown = recognizer.ask(words.pictures / "test" / left_out)
    unsure = recognizer.metadata.unsure
    assert known.novelty is not None
    assert unknown.novelty is not None
    assert unsure is not None
    first = [-each.probabilities.max(axis=1).astype(np.float64) for each in (known, unknown)]
    refused = fraction(int((unknown.novelty > unsure.threshold).sum()), len(unknown.novelty))
    accepted = fraction(int((known.novelty <= unsure.threshold).sum()), len(known.novelty))
    return {
        "left_out": left_out,
        "measure": unsure.measure,
        "novelty": area_under_curve(known.novelty.astype(np.float64), unknown.novelty.astype(np.float64)),
        "probability": area_under_curve(*first),
        "refused": refused.model_dump(),
        "accepted": accepted.model_dump(),
    }


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--size", type=int)
    parser.add_argument("--start")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classes", nargs="*")
    return parser.parse_args()


if __name__ == "__main__":
    main()
