"""Translation, blame and surgery as lines: at most 80 columns, real pixels first, the protocol under the numbers."""

from __future__ import annotations

import pytest
import torch
from rich.cells import cell_len
from torch import Tensor, nn

from whyconv.measures import translation
from whyconv.measures.equivariance import equivariance
from whyconv.measures.surgery import surgery
from whyconv.results import Estimate
from whyconv.results.translation import Translation
from whyconv.show.translation import equivariance_lines, surgery_lines, translation_lines

LANGUAGES = ("en", "ko")


def pictures(n: int = 12, side: int = 16) -> Tensor:
    return torch.randn(n, 1, side, side, generator=torch.Generator().manual_seed(0))


def network(head: int = 64) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(), nn.Linear(head, 3),
    )  # fmt: skip


def fits(lines: list[str]) -> bool:
    return all(cell_len(line) <= 80 for line in lines)


def measured(kind: str, side: int = 20) -> Translation:
    side = side if kind == "crop" else 16
    return translation(network(), pictures(side=side), [0, 1, 2] * 4, kind, reach=2)


@pytest.mark.parametrize("language", LANGUAGES)
def test_real_pixels_come_first_and_the_protocol_stands_under_the_numbers(language: str) -> None:
    crop, zero = measured("crop"), measured("zero")
    lines = translation_lines([zero, crop], language)
    assert fits(lines)
    text = "\n".join(lines)
    first, second = (f"{100 * each.consistency.value:.1f} %" for each in (crop, zero))
    leads = [place for place, line in enumerate(lines) if first in line or second in line]
    assert first in lines[leads[0]]
    # Every number has its protocol: how many shifts, pictures, which size.
    assert text.count("24") >= 2
    assert text.count("16 x 16") == 2
    between = {"en": " to ", "ko": "~"}[language]
    assert f"{crop.kappa.value:.2f} ({crop.kappa.low:.2f}{between}{crop.kappa.high:.2f})" in text
    assert language == "en" or " to " not in text
    assert f"{100 * crop.worst_case_correct.value:.1f} %" in text


def test_without_room_that_is_said_before_any_number() -> None:
    lines = translation_lines([measured("zero")], "en", has_room=False)
    assert fits(lines)
    assert "not measurable: no real pixels are left" in " ".join(lines).replace("  ", " ")
    assert lines[1].startswith("! ")


def test_a_network_that_always_says_the_same_is_told_by_kappa() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([0.0, 1.0]).expand(len(x), 2)

    found = translation(Constant(), pictures(), [0, 1] * 6, "zero", reach=1)
    assert any("Kappa is 0" in line for line in translation_lines([found], "en"))
    assert not any("Kappa is 0" in line for line in translation_lines([measured("zero")], "en"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("kind", "side"), [("crop", 36), ("circular", 32), ("circular", 12)])
def test_layers_and_causes_are_shown_with_their_errors(language: str, kind: str, side: int) -> None:
    head = {36: 4 * 64, 32: 4 * 64, 12: 4 * 9}[side]
    found = equivariance(network(head), pictures(side=side), kind, reach=2 if kind == "crop" else None)
    lines = equivariance_lines(found, language)
    assert fits(lines)
    text = "\n".join(lines)
    pool = found.layers[1]
    assert pool.whole is not None
    assert f"{100 * pool.whole.value:.1f} (" in text
    assert f"{100 * found.logits.value:.1f} %" in text
    stride = found.cause("stride")
    if stride.error is None:
        assert found.told_by != "inside"
    else:
        assert f"{100 * stride.error.value:+.1f} (" in text
    assert f"{found.protocol.n}" in lines[-1] + lines[-2] + lines[-3]


def test_what_is_0_but_for_rounding_is_0_and_what_is_not_measured_a_dash() -> None:
    found = equivariance(network(36), pictures(side=12), "circular")
    row = next(line for line in equivariance_lines(found, "en") if line.split()[:2] == ["0", "1"])
    assert row.split()[2:4] == ["0", "0"]
    last = next(line for line in equivariance_lines(found, "en") if line.split()[:2] == ["3", "4"])
    assert last.split()[2:4] == ["-", "-"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_repairs_are_shown_with_their_changes_and_what_could_not_be_repaired(language: str) -> None:
    found = surgery(network(), pictures(side=20), [0, 1, 2] * 4, ["circular", "crop"], reach=2)
    lines = surgery_lines(found, language)
    assert fits(lines)
    text = "\n".join(lines)
    for repair in found.repairs:
        for one in repair.scores:
            ends = (round(100 * one.consistency_change.low), round(100 * one.consistency_change.high))
            assert f"{100 * one.consistency.value:.1f} ({ends[0]:+d}..{ends[1]:+d})" in text
    assert sum(line.startswith("! ") for line in lines) == 2  # the pool that rounds up, for both ways of sampling


def test_names_from_outside_cannot_steer_the_terminal() -> None:
    found = equivariance(network(), pictures(), "circular")
    evil = found.layers[0].model_copy(update={"name": "\x1b[31mred"})
    lines = equivariance_lines(found.model_copy(update={"layers": [evil, *found.layers[1:]]}), "en")
    assert not any("\x1b" in line for line in lines)
    assert Estimate(value=0, low=0, high=0, n=1).n == 1
