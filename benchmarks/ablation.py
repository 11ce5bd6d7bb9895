"""One thing of the recipe changed at a time: accuracy of the plan as it is, and of each changed plan, over seeds.

    python benchmarks/ablation.py flowers/ --epochs 30 --change training.label_smoothing=0 augment.color=0
    python benchmarks/ablation.py cifar10.npz --network swift --epochs 3 --seeds 5 --change "training.sides=[24,32]"

A change is a name and a value of ``run.toml``; several joined by ``,`` with no space after it are made together, as in
``training.epochs=4,training.sides=[24]``. Every training is that of ``whyconv train --config``. One line of JSON for
each, with the seconds of the training alone; then a table with the mean difference to the plan as it is, paired by
seed, and its 95 % interval (t distribution).
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from whyconv.machine import set_thread_habits

set_thread_habits()

from whyconv.results import RunSummary
from whyconv.settings import Plan
from whyconv.training.run_folder import read_plan
from whyconv.workflow import train, train_from_file

AS_IT_IS = "as it is"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures")
    parser.add_argument("--network", default=None)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--flips", default="auto")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--change", nargs="*", default=[])
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        asked = {name: value for name in ("network", "epochs", "flips") if (value := getattr(words, name)) is not None}
        rows = []
        for seed in range(words.seeds):
            summary = train(words.pictures, out=place, only_model=True, start="scratch", seed=seed, **asked)
            rows.append(_row(AS_IT_IS, seed, summary))
            plan = read_plan(Path(summary.run))
            for change in words.change:
                path = Path(place) / "run.toml"
                path.write_text(changed(plan, change).to_toml(), encoding="utf-8")
                rows.append(_row(change, seed, train_from_file(path, out=place)))
    print(table(rows))


def changed(plan: Plan, change: str) -> Plan:
    """The plan with the values of a change such as ``training.batch=64`` put in."""
    values: dict[str, Any] = plan.model_dump()
    for each in re.split(r",(?=[a-z_]+\.)", change):
        name, _, value = each.partition("=")
        room, _, entry = name.partition(".")
        values[room][entry] = tomllib.loads(f"it = {value}")["it"]
    return Plan.of(values, where=change)


def _row(change: str, seed: int, summary: RunSummary) -> dict[str, Any]:
    assert summary.test is not None
    row = {
        "change": change,
        "seed": seed,
        "accuracy": summary.test.accuracy.value,
        "n": summary.test.n,
        "epochs": summary.num_epochs,
        "seconds": summary.seconds,
    }
    print(json.dumps(row), flush=True)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """Mean accuracy of every change in percent, and how much it is above the plan as it is, seed by seed."""
    by_change: dict[str, dict[int, float]] = {}
    for row in rows:
        by_change.setdefault(row["change"], {})[row["seed"]] = 100 * row["accuracy"]
    base, lines = by_change[AS_IT_IS], []
    for change, found in by_change.items():
        gains = np.array([found[seed] - base[seed] for seed in found])
        lines.append(f"{np.mean(list(found.values())):6.2f}  {_interval(gains)}  n={len(gains)}  {change}")
    return "\n".join(lines)


def _interval(gains: np.ndarray) -> str:
    if len(gains) < 2 or not gains.any():
        return f"{gains.mean():+6.2f}          "
    half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
    return f"{gains.mean():+6.2f} +- {half:5.2f}"


if __name__ == "__main__":
    main()
