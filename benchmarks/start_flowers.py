"""Starting from published weights: flowers, the mean over five stratified splits, at 1 and 3 minutes.

    python benchmarks/start_flowers.py --data flowers/ --place /tmp/start --minutes 1 3

Pictures of all parts in the folder are pooled. In each split a fifth of each class, drawn by the digest of the files,
is the test part, so that the five test parts are disjoint. ``whyconv train`` runs as a command of its own, with no
other word than its minutes; its seconds are those of the whole command. Each run is a line in ``results.jsonl`` of the
place, and is not made again.

Beside it stands the head of MediaPipe Model Maker, on features of the same frozen network for the upright pictures:
dropout 0.2 and one softmax layer, label smoothing 0.1, squared weights times 0.0001, RMSprop (0.9, momentum 0.9,
epsilon 0.001) with 2 epochs of warm-up and a cosine. "documented": rate 0.001 x batch / 256, batches of 2, 10 epochs.
"tuned": batches of 32, 30 epochs, the rate of 0.00003 to 0.03 that is best on the validation part.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from whyconv import __version__
from whyconv.machine import set_thread_habits

set_thread_habits()

import torch
from torch import nn
from torch.nn import functional

from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.threads import map_in_order
from whyconv.machine import num_cores
from whyconv.pretrained.backbone import FrozenNetwork
from whyconv.pretrained.published import published_backbone

NUM_SPLITS = 5
RATES = (0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03)
PICTURES = (".jpg", ".jpeg", ".png")
VALIDATION_FRACTION = 0.15


@dataclass(frozen=True)
class Recipe:
    """Of the other head: highest learning rate, pictures a step, passes."""

    rate: float
    batch: int
    epochs: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures, a folder a class below its parts")
    parser.add_argument("--place", type=Path, required=True, help="where splits, runs and results lie")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 3.0])
    parser.add_argument("--splits", type=int, default=NUM_SPLITS)
    parser.add_argument("--no-peer", action="store_true", help="without the other head")
    words = parser.parse_args()
    words.place.mkdir(parents=True, exist_ok=True)
    files = sorted(path for path in words.data.rglob("*") if path.suffix.lower() in PICTURES)
    classes = sorted({path.parent.name for path in files})
    folds = fold_of(files)
    results = words.place / "results.jsonl"
    for split in range(words.splits):
        for minutes in words.minutes:
            cell = {"tool": "whyconv", "minutes": minutes, "split": split}
            once(results, cell, partial(run_whyconv, cell, words.place, files, folds))
    if not words.no_peer:
        features = features_of(words.place / "features.npy", files)
        labels = np.array([classes.index(path.parent.name) for path in files])
        for split in range(words.splits):
            for tool in ("head, documented", "head, tuned"):
                cell = {"tool": tool, "minutes": 0, "split": split}
                once(results, cell, partial(run_head, cell, features, labels, folds))
    for line in table(results):
        print(line)


def fold_of(files: Sequence[Path]) -> list[int]:
    """The split whose test part each picture is in: within a class by the order of the digests of the content."""
    digests = [hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() for path in files]
    order = sorted(range(len(files)), key=lambda row: (files[row].parent.name, digests[row], str(files[row])))
    place: dict[str, int] = {}
    folds = [0] * len(files)
    for row in order:
        name = files[row].parent.name
        folds[row] = place.setdefault(name, 0) % NUM_SPLITS
        place[name] += 1
    return folds


def once(results: Path, cell: dict[str, Any], run: Callable[[], dict[str, Any]]) -> None:
    """Runs a cell that has no line yet, and adds its line."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    if any(cell.items() <= json.loads(line).items() for line in lines):
        return
    load = os.getloadavg()[0]
    row = cell | run() | {"load_before": load, "date": time.strftime("%Y-%m-%d")}
    row |= {"whyconv": __version__, "torch": torch.__version__, "cores": num_cores(), "machine": platform.machine()}
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


def run_whyconv(cell: dict[str, Any], place: Path, files: Sequence[Path], folds: Sequence[int]) -> dict[str, Any]:
    """``whyconv train SPLIT --minutes M`` with an empty store, as a person runs it."""
    folder = place / f"split-{cell['split']}"
    for path, fold in zip(files, folds, strict=True):
        link = folder / ("test" if fold == cell["split"] else "train") / path.parent.name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(path.resolve())
    store = place / f"store-{cell['split']}-{cell['minutes']:g}"
    command = [sys.executable, "-m", "whyconv", "train", str(folder), "--minutes", str(cell["minutes"])]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "--out", str(place / "runs"), "--store", str(store), "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - began
    found = json.loads(done.stdout)
    kept = {name: found[name] for name in ("run", "best_epoch", "num_epochs", "num_steps", "stopped")}
    test, validation = found["test"], found["validation"]
    scores = {"accuracy": test["accuracy"], "n": test["n"], "validation_accuracy": validation["accuracy"]}
    return {"seconds": round(seconds, 1), **scores, **kept}


def features_of(path: Path, files: Sequence[Path]) -> np.ndarray:
    """Features (n, 1280) of the upright pictures, asked once."""
    if path.exists():
        return np.asarray(np.load(path, allow_pickle=False))
    backbone = published_backbone(None)
    network, policy = FrozenNetwork(backbone, num_cores()), PicturePolicy(side=backbone.side, channels=3)
    pixels = np.stack(list(map_in_order(lambda file: prepare(file.read_bytes(), policy), files)))
    parts = [network.look(pixels[start : start + 32], "upright")[0] for start in range(0, len(pixels), 32)]
    features = np.concatenate(parts)
    np.save(path, features, allow_pickle=False)
    return features


def run_head(cell: dict[str, Any], features: np.ndarray, labels: np.ndarray, folds: Sequence[int]) -> dict[str, Any]:
    """The other head, trained on the split's training pictures and scored on its test part."""
    is_test = np.array(folds) == cell["split"]
    train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    draws = np.random.default_rng(cell["split"]).permutation(train)
    validation, rest = np.split(draws, [round(VALIDATION_FRACTION * len(draws))])

    def accuracy(rows: np.ndarray, asked: np.ndarray, recipe: Recipe) -> float:
        x, y = torch.from_numpy(features[rows]), torch.from_numpy(labels[rows])
        network = train_head(x, y, int(labels.max()) + 1, recipe, seed=cell["split"])
        with torch.inference_mode():
            answers = network(torch.from_numpy(features[asked])).argmax(dim=1).numpy()
        return float((answers == labels[asked]).mean())

    began = time.perf_counter()
    recipe = Recipe(rate=0.001 * 2 / 256, batch=2, epochs=10)
    if cell["tool"].endswith("tuned"):
        choices = [Recipe(rate=rate, batch=32, epochs=30) for rate in RATES]
        recipe = max(choices, key=lambda choice: accuracy(rest, validation, choice))
    found = accuracy(train, test, recipe)
    return {"accuracy": found, "n": len(test), "seconds": round(time.perf_counter() - began, 1), **asdict(recipe)}


def train_head(x: torch.Tensor, y: torch.Tensor, classes: int, recipe: Recipe, *, seed: int) -> nn.Module:
    """Dropout and one softmax layer, as the docstring of this file says."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Dropout(0.2), nn.Linear(x.shape[1], classes))
    nn.init.xavier_uniform_(network[1].weight)
    nn.init.zeros_(network[1].bias)
    optimizer = torch.optim.RMSprop(network.parameters(), lr=recipe.rate, alpha=0.9, momentum=0.9, eps=0.001)
    per_epoch = -(-len(x) // recipe.batch)
    warmup, total = 2 * per_epoch, recipe.epochs * per_epoch
    step = 0
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(x)).split(recipe.batch):
            share = step / warmup if step < warmup else 0.5 * (1 + np.cos(np.pi * step / total))
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * share
            loss = functional.cross_entropy(network(x[rows]), y[rows], label_smoothing=0.1)
            loss = loss + 1e-4 * network[1].weight.square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    return network.eval()


def table(results: Path) -> Iterator[str]:
    """Yields a line for each tool and budget: mean over splits, its 95 % interval (t distribution), seconds."""
    rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    for tool, minutes in sorted({(row["tool"], row["minutes"]) for row in rows}):
        cells = [row for row in rows if (row["tool"], row["minutes"]) == (tool, minutes)]
        values, count = [row["accuracy"] for row in cells], len(cells)
        mean = float(np.mean(values))
        half = float(stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / count**0.5) if count > 1 else float("nan")
        seconds = [row["seconds"] for row in cells]
        budget = f"{minutes:g} min" if minutes else "features not counted"
        yield (
            f"{tool:18}  {budget:20}  {100 * mean:.1f} % ({100 * (mean - half):.1f}-{100 * (mean + half):.1f}, "
            f"n={count} splits)   {min(seconds):.0f} to {max(seconds):.0f} s"
        )


if __name__ == "__main__":
    main()
