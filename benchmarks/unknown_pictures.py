"""How often a recognizer calls pictures unsure that show nothing it knows: noise, blank pictures, handwritten digits.

    python benchmarks/unknown_pictures.py RUN [RUN ...] [--pictures 500] [--threads 1]

One line a run and kind of picture: the fraction refused with its 95 % Wilson interval, and the least number of them;
above the threshold one is refused. Wanted: at least 99 % of noise and blank pictures, and 90 % of the digits, which are
shown to recognizers of color pictures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

from whyconv.images.prepare import PicturePolicy, fit
from whyconv.recognizer import Recognizer, open_recognizer
from whyconv.training.intervals import fraction

BATCH = 32


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("runs", nargs="+", metavar="RUN")
    words.add_argument("--pictures", type=int, default=500, help="of each kind")
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--seed", type=int, default=11)
    asked = words.parse_args()
    for run in asked.runs:
        recognizer = open_recognizer(run, num_threads=asked.threads)
        for kind, pictures in unknown(recognizer.policy, asked.pictures, np.random.default_rng(asked.seed)):
            print(json.dumps({"run": run, "kind": kind, **refused(recognizer, pictures)}), flush=True)


def unknown(
    policy: PicturePolicy, number: int, generator: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Kinds of pictures by name, each (number, side, side, channels)."""
    side, channels = policy.side, policy.channels
    shape = (number, side, side, channels)
    yield "noise, uniform", generator.integers(0, 256, shape, np.uint8)
    yield "noise, normal", np.clip(generator.normal(128, 50, shape), 0, 255).astype(np.uint8)
    yield "blank, gray", np.broadcast_to(generator.integers(0, 256, (number, 1, 1, 1), np.uint8), shape)
    if channels == 3:
        yield "blank, colored", np.broadcast_to(generator.integers(0, 256, (number, 1, 1, 3), np.uint8), shape)
        images = datasets.load_digits().images
        chosen = images[generator.permutation(len(images))[:number]]
        pixels = np.rint(chosen * 255 / 16).astype(np.uint8)
        yield "digits", np.stack([fit(np.repeat(one[..., None], 3, -1), policy) for one in pixels])


def refused(recognizer: Recognizer, pictures: NDArray[np.uint8]) -> dict[str, object]:
    """What became of pictures that show nothing known."""
    unsure = recognizer.metadata.unsure
    parts = [recognizer.run(pictures[start : start + BATCH]).novelty for start in range(0, len(pictures), BATCH)]
    if unsure is None or any(part is None for part in parts):
        raise SystemExit("This recognizer cannot tell unsure pictures.")
    novelty = np.concatenate([part for part in parts if part is not None])
    found = fraction(int((novelty > unsure.threshold).sum()), len(novelty))
    return {"refused": found.value, "low": found.low, "high": found.high, "n": found.n, "least": float(novelty.min())}


if __name__ == "__main__":
    main()
