"""The certificate of docs/evidence.md: the digits, moved around the ring, and what is refused.

    python benchmarks/certificates.py                 5 seeds, plain and circular: some 4 minutes of two cores

Trains ``whyconv train DIGITS --invariant circular`` and the plain network from each seed, reads what
``certificate.json`` and ``summary.json`` hold, and writes the block of the page between its marks. The refusals are
those of ``whyconv.measures.certify`` on three networks that differ in one thing from one that is certified.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from evidencing.markdown import join, percent, table
from racing.machine import ROOT, default_place, machine, now, versions
from torch import nn

from evidence import put_into
from whyconv.demo import write_digits
from whyconv.errors import UsageError
from whyconv.measures import certify
from whyconv.nets import PolyphasePool2d
from whyconv.results import Estimate
from whyconv.results.certificate import Certificate

NAME = "certificate"
NUM_SEEDS, EPOCHS = 5, 10


def main() -> int:
    """Returns 0, or the exit code of the training that ended otherwise."""
    asked = _read_words()
    place = asked.place / "certificates"
    place.mkdir(parents=True, exist_ok=True)
    digits, rows = write_digits(place / "digits"), []
    for seed in range(NUM_SEEDS):
        for kind in ("plain", "circular"):
            if not (_run(place, kind, seed) / "summary.json").exists() and (code := _train(digits, kind, seed)):
                return code
        rows.append(_row(place, seed))
    put_into(asked.page, NAME, join(_heading(), _seen(rows), _refused()))
    print(f"the certificate in {asked.page}")
    return 0


def _read_words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", type=Path, default=default_place(), help="where digits and runs are kept")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "evidence.md")
    return parser.parse_args()


def _run(place: Path, kind: str, seed: int) -> Path:
    return place / f"{kind}-{seed}" / "digits-1"


def _train(digits: Path, kind: str, seed: int) -> int:
    out = _run(digits.parent, kind, seed).parent
    words = ["train", str(digits), "--out", str(out), "--epochs", f"{EPOCHS}", "--flips", "off", "--seed", f"{seed}"]
    words += ["--invariant", "circular"] if kind == "circular" else ["--network", "plain"]
    return subprocess.run([sys.executable, "-m", "whyconv", *words], check=False).returncode


def _row(place: Path, seed: int) -> list[str]:
    """What was seen from one seed."""
    plain, circular = (_accuracy(_run(place, kind, seed)) for kind in ("plain", "circular"))
    found = Certificate.model_validate_json((_run(place, "circular", seed) / "certificate.json").read_text("utf-8"))
    asked = found.protocol
    change = "none certified" if found.largest_change is None else f"{found.largest_change:.1e}"
    return [
        f"{seed}",
        percent(plain),
        percent(circular),
        f"{found.n_certified} of {asked.n}",
        f"{asked.n_every} under all {asked.num_shifts}, {asked.n_one} under one",
        change,
        f"{found.num_changed}",
        f"{found.n_counted}, of which {found.num_changed_counted} changed",
    ]


def _accuracy(run: Path) -> Estimate:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    return Estimate.model_validate(found["test"]["accuracy"])


def _heading() -> str:
    found = machine()
    return "\n".join(
        [
            "## A certificate, and what gets none",
            "",
            f"`python benchmarks/certificates.py`, {now()[:10]}, whyconv {versions('whyconv')['whyconv']} "
            f"({versions()['commit']}), {found['processor']}, {found['cores']} cores.",
        ]
    )


def _seen(rows: Sequence[Sequence[str]]) -> str:
    title = (
        f"The digits, {EPOCHS} epochs, `whyconv train --invariant circular` beside `--network plain` from the same "
        "seeds; accuracy with 95 % intervals over test pictures. Moved around the ring, no answer of a certified "
        "picture can change; the change of a probability is what rounding leaves. That circular padding, polyphase "
        "pooling and a mean over places make this so has been known since 2021: it is a control, not a find."
    )
    head = [
        "seed",
        "plain, %",
        "circular, %",
        "certified",
        "asked",
        "largest change",
        "answers changed",
        "too near a tie",
    ]
    return table(title, head, rows)


def _refused() -> str:
    """The words of three refusals, each of a network that differs in one thing from one that is certified."""
    rows = [[what, f"`{' '.join(_refusal(network, side).split())}`"] for what, network, side in _broken()]
    return table("Refused, with the reason:", ["what", "what is said"], rows)


def _broken() -> list[tuple[str, nn.Module, int]]:
    torch.manual_seed(0)
    mean, flat = nn.AdaptiveAvgPool2d(1), nn.Identity()
    return [
        ("pictures of 33 x 33 behind a stride of 2", _network(PolyphasePool2d(2), mean), 33),
        ("zeros around one layer", _network(PolyphasePool2d(2), mean, padding_mode="zeros"), 32),
        ("a flattened head", _network(PolyphasePool2d(2), flat, places=16 * 16), 32),
    ]


def _network(pool: nn.Module, head: nn.Module, *, padding_mode: str = "circular", places: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular"),
        nn.ReLU(),
        pool,
        nn.Conv2d(4, 4, 3, padding=1, padding_mode=padding_mode),
        head,
        nn.Flatten(),
        nn.Linear(4 * places, 3),
    )


def _refusal(network: nn.Module, side: int) -> str:
    try:
        certify(network, torch.rand(2, 1, side, side))
    except UsageError as error:
        return str(error)
    raise AssertionError(f"a network that must be refused at {side} pixels was certified")


if __name__ == "__main__":
    sys.exit(main())
