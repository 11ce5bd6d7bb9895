"""The page's certificate: what it says is what the run's files hold, and what it calls refused is refused."""

from __future__ import annotations

import json
from pathlib import Path

import certificates
import torch
from torch import nn

from whyconv.measures import certify
from whyconv.nets import PolyphasePool2d
from whyconv.results.certificate import Certificate, CertificateProtocol


def made_up(place: Path) -> Certificate:
    """A plain run and one with a certificate, of as much as the page reads."""
    asked = CertificateProtocol(
        side=(8, 8), num_shifts=63, n=540, n_every=500, n_one=40, dtype="float32", temperature=1.0, delta=2e-6,
        tolerance=1e-5, seed=0, seconds=120.0,
    )  # fmt: skip
    found = Certificate(
        protocol=asked, stride=4, num_choices=2, n_certified=536, smallest_margin=1e-7, largest_change=1.8e-7,
        num_changed=0, n_counted=4, largest_change_counted=0.2, num_changed_counted=1, accuracy=None,
    )  # fmt: skip
    for kind, accuracy in (("plain", 0.991), ("circular", 0.985)):
        (place / f"{kind}-3" / "digits-1").mkdir(parents=True)
        test = {"accuracy": {"value": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.005, "n": 540}}
        (place / f"{kind}-3" / "digits-1" / "summary.json").write_text(json.dumps({"test": test}))
    (place / "circular-3" / "digits-1" / "certificate.json").write_text(found.model_dump_json())
    return found


def test_a_row_says_what_was_certified_and_what_was_not(tmp_path: Path) -> None:
    made_up(tmp_path)
    assert certificates._row(tmp_path, 3) == [
        "3", "99.1 (98.1-99.6)", "98.5 (97.5-99.0)", "536 of 540", "500 under all 63, 40 under one", "1.8e-07", "0",
        "4, of which 1 changed",
    ]  # fmt: skip


def test_three_networks_are_refused_each_for_its_own_reason_and_without_it_one_is_certified() -> None:
    rows = certificates._refused().splitlines()[-3:]
    for row, reason in zip(
        rows, ("33 x 33 places are no multiple", "Pad circularly", "one weight for each place"), strict=True
    ):
        assert reason in row
    sound = certificates._network(PolyphasePool2d(2), nn.AdaptiveAvgPool2d(1))
    assert certify(sound, torch.rand(2, 1, 32, 32), seconds=1).is_held
