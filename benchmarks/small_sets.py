"""Accuracy on the digits, the course's cats and the flowers: mean over seeds, each a whole training.

    python benchmarks/small_sets.py digits
    python benchmarks/small_sets.py cats --network plain --data catvnoncat/
    python benchmarks/small_sets.py flowers --minutes 10 --seeds 1 --data flowers/

Prints one line of JSON for each seed, then the mean with its 95 % interval over the seeds (t distribution).
The digits are compared with scikit-learn's 1-nearest-neighbor and RBF-SVM on the same split.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import stats

from whyconv.machine import set_thread_habits

set_thread_habits()

from whyconv.demo import load_digits, write_digits
from whyconv.workflow import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["digits", "cats", "flowers"])
    parser.add_argument("--data", help="folder of the pictures (the digits are written anew)")
    parser.add_argument("--network", default="swift")
    parser.add_argument("--start", default="scratch", help="scratch, or pretrained where it is installed")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seeds", type=int, default=5)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        pictures = words.data or str(write_digits(Path(place) / "digits"))
        accuracies = [_run(words, pictures, place, seed) for seed in range(words.seeds)]
    print(json.dumps({"set": words.name, "network": words.network, **_mean(accuracies)}))
    if words.name == "digits":
        print(json.dumps(peers()))


def _run(words: argparse.Namespace, pictures: str, place: str, seed: int) -> float:
    began = time.perf_counter()
    summary = train(
        pictures, network=words.network, start=words.start, minutes=words.minutes, seed=seed, out=f"{place}/runs"
    )
    assert summary.test is not None
    row = {
        "seed": seed,
        "accuracy": summary.test.accuracy.model_dump(),
        "epochs": summary.num_epochs,
        "best_epoch": summary.best_epoch,
        "seconds": round(time.perf_counter() - began, 1),
    }
    print(json.dumps(row), flush=True)
    return summary.test.accuracy.value


def _mean(values: list[float]) -> dict[str, float | int]:
    mean, count = float(np.mean(values)), len(values)
    half = float(stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / count**0.5) if count > 1 else float("nan")
    return {"mean": mean, "low": mean - half, "high": mean + half, "least": min(values), "num_seeds": count}


def peers() -> dict[str, float]:
    """Test accuracy of scikit-learn's classifiers on the digits' own split, pixels scaled to [0, 1]."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    pixels, labels, is_test = load_digits()
    x = pixels.reshape(len(pixels), -1) / 255
    models = {"1-nearest-neighbor": KNeighborsClassifier(1), "RBF-SVM": SVC()}
    return {
        name: float(model.fit(x[~is_test], labels[~is_test]).score(x[is_test], labels[is_test]))
        for name, model in models.items()
    }


if __name__ == "__main__":
    main()
