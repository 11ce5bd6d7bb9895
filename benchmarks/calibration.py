"""Calibration, answer sets and acceptance of finished runs, on their own test parts.

    python benchmarks/calibration.py RUN [RUN ...]

For five seeds on CIFAR-10 with 5,000 validation pictures:

    for seed in 0 1 2 3 4; do whyconv train cifar10.npz --seed $seed --validation-fraction 0.1; done
    python benchmarks/calibration.py runs/cifar10-*

One line a run: the calibration error less chance, in points, with the band in which perfect calibration would lie.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from whyconv.results import RunSummary, ignore
from whyconv.workflow import evaluate


def main() -> None:
    for word in sys.argv[1:]:
        run = Path(word)
        print(json.dumps({"run": word, **_judged(evaluate(run, None, ignore))}), flush=True)


def _judged(summary: RunSummary) -> dict[str, object]:
    score = summary.test
    assert score is not None
    debiased, sets, accepted = score.debiased, score.sets, score.acceptance
    assert debiased is not None
    return {
        "n": score.n,
        "n_fit": score.calibration.n_fit if score.calibration else 0,
        "accuracy": round(score.accuracy.value, 4),
        "points": [round(100 * value, 2) for value in (debiased.value, debiased.low, debiased.high)],
        "coverage": sets.bare_coverage.value if sets else None,
        "band": [sets.low, sets.high] if sets else None,
        "mean_size": sets.mean_size if sets else None,
        "accepted": accepted.accepted.value if accepted else None,
        "accepted_band": [accepted.low, accepted.high] if accepted else None,
    }


if __name__ == "__main__":
    main()
