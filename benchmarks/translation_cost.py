"""What asking about every shift costs beside the bare forward passes that it needs.

    python benchmarks/translation_cost.py [--pictures 1000] [--side 32] [--reach 2] [--pairs 5]
        [--kinds circular,zero,fractional]

``swift`` with random weights, ten classes, random pictures. The measure, and as many forward passes as it needs over
the same pictures in batches of 256, in turns. Wanted: at most 1.3 times.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from whyconv.machine import set_thread_habits

set_thread_habits()

import torch

from whyconv.measures import translation
from whyconv.nets.swift import Swift

BATCH = 256


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--pictures", type=int, default=1000)
    words.add_argument("--side", type=int, default=32)
    words.add_argument("--reach", type=int, default=2)
    words.add_argument("--pairs", type=int, default=5)
    words.add_argument("--kinds", default="circular,zero,fractional")
    asked = words.parse_args()
    torch.manual_seed(0)
    network = Swift(3, 10, asked.side).eval()
    pictures = torch.randn(asked.pictures, 3, asked.side, asked.side)
    labels = np.arange(asked.pictures) % 10
    for kind in asked.kinds.split(","):
        shifts = 80 if kind == "fractional" else (2 * asked.reach + 1) ** 2 - 1
        ratios = []
        for _ in range(asked.pairs):
            began = time.perf_counter()
            translation(network, pictures, labels, kind, reach=None if kind == "fractional" else asked.reach)
            between = time.perf_counter()
            bare(network, pictures, shifts + 1)
            ratios.append((between - began) / (time.perf_counter() - between))
        low, middle, high = np.quantile(ratios, (0, 0.5, 1))
        spread = f"{low:.2f}-{high:.2f}, n={len(ratios)}"
        print(f"{kind:11}  {shifts} shifts   {middle:.2f} times the forward passes ({spread})", flush=True)


def bare(network: torch.nn.Module, pictures: torch.Tensor, passes: int) -> None:
    """Forward passes over the pictures as they are."""
    with torch.inference_mode():
        for _ in range(passes):
            for start in range(0, len(pictures), BATCH):
                network(pictures[start : start + BATCH])


if __name__ == "__main__":
    main()
