"""The certificate: conditions on networks that keep or break them, each fault found by its graph and by its shifts."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from circular_networks import Residual, circular, sharpened, some_pictures, stack, told, tried
from whyconv.errors import ParityError, UsageError
from whyconv.measures import certify, conditions
from whyconv.measures.certificate import require_held
from whyconv.nets import NETWORKS, BlurPool2d, PlainCircular, PolyphasePool2d, build_network
from whyconv.nets.layers import PhaseChoice
from whyconv.show.certificate import certificate_lines
from whyconv.show.text import sentence

MODULE = sys.modules["whyconv.measures.certificate"]


@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("learned", [False, True])
def test_a_residual_network_with_one_phase_for_both_branches_is_certified(side: int, learned: bool) -> None:
    torch.manual_seed(0)
    network = sharpened(Residual(learned=learned))
    pictures = some_pictures(21 if side == 8 else 6, side)
    found = certify(network, pictures, [0] * len(pictures))
    assert (found.stride, found.num_choices) == (2, 1)
    assert found.protocol.n_every == found.n_certified + found.n_counted == len(pictures)
    assert found.n_counted <= 2  # of the darkest, whose phases are nearly alike
    assert found.protocol.num_shifts == side * side - 1
    assert 0 < found.largest_change < 1e-5
    assert found.num_changed == 0
    assert found.accuracy.n == len(pictures)
    # By hand: every shift of every picture.
    with torch.inference_mode():
        p = network(pictures).softmax(dim=1)
        worst = max(
            float((network(torch.roll(pictures, (a, b), dims=(2, 3))).softmax(dim=1) - p).abs().max())
            for a in range(side)
            for b in range(side)
        )
    assert worst < 1e-5


def test_the_circular_network_is_certified_and_no_other_of_the_catalogue() -> None:
    for name in NETWORKS:
        side = 32 if name in ("plain", "plain_circular", "swift", "lesson", "lenet5") else 64
        if name in ("vgg16", "alexnet", "resnet34", "resnet50", "resnet101", "resnet152", "efficientnet_lite0"):
            continue  # of these resnet18 and mobilenet_v2 speak for all, and are quicker
        network = build_network(name, in_channels=1, num_classes=3, side=side)
        found = conditions(network, (1, side, side))
        assert (not found.reasons) == (name == "plain_circular"), (name, found.reasons[:3])
    assert conditions(build_network("plain_circular", in_channels=1, num_classes=3, side=32), (1, 32, 32)).stride == 8


def test_all_faults_of_the_plain_network_are_told_at_once() -> None:
    found = told(build_network("plain", in_channels=1, num_classes=3, side=16), 16)
    assert found["condition_padding"] == {
        "stem.0",
        *(f"stages.{stage}.{part}.0" for stage in range(3) for part in ("widen", "refine")),
    }
    assert found["condition_pool"] == {"stages.1.pool", "stages.2.pool"}
    assert set(found) == {"condition_padding", "condition_pool"}


# --- planted faults, found by the graph and by the shifts

FAULTS: dict[str, tuple[Callable[[], nn.Module], int, str, str]] = {
    "branches pick separately": (
        lambda: Residual(is_separate=True, shortcut=circular(6, 6)),
        8,
        "condition_branches",
        "Residual",
    ),
    "zero padding in one layer": (
        lambda: Residual(shortcut=nn.Conv2d(6, 6, 3, padding=1)),
        8,
        "condition_padding",
        "shortcut",
    ),
    "a strided convolution": (
        lambda: Residual(shortcut=nn.Conv2d(6, 6, 1, stride=2)),
        8,
        "condition_stride",
        "shortcut",
    ),
    "a flattened head": (
        lambda: nn.Sequential(circular(1, 4), nn.ReLU(), PolyphasePool2d(2), nn.Flatten(), nn.Linear(64, 3)),
        8,
        "condition_flatten",
        "3",
    ),
    "plain max pooling": (
        lambda: stack(circular(1, 4), nn.ReLU(), nn.MaxPool2d(2), circular(4, 4), nn.ReLU()),
        8,
        "condition_pool",
        "2",
    ),
    "blur that strides": (
        lambda: stack(circular(1, 4), nn.ReLU(), BlurPool2d(3, 2), circular(4, 4), nn.ReLU()),
        8,
        "condition_pool",
        "2",
    ),
    "blur with zeros": (
        lambda: stack(circular(1, 4), BlurPool2d(3, 1, "zeros"), circular(4, 4), nn.ReLU()),
        8,
        "condition_padding",
        "1",
    ),
    "a convolution that shrinks": (
        lambda: stack(circular(1, 4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU()),
        8,
        "condition_shrinks",
        "2",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_twice(name: str) -> None:
    make, side, key, layer = FAULTS[name]
    torch.manual_seed(0)
    network, pictures = sharpened(make()), some_pictures(side=side)
    assert told(network, side) == {key: {layer}}
    with pytest.raises(UsageError, match=f"\n  {layer}: "):
        certify(network, pictures)
    found = tried(network, pictures)
    assert not found.is_held
    with pytest.raises(ParityError, match="By its graph"):
        require_held(found)
    assert ParityError.exit_code == 4


class Cropping(PolyphasePool2d):
    """Takes maps of every side, leaving the last places out: the fault that a side of 33 would be."""

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        return super().forward(x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2], phase)


def test_a_side_of_33_is_refused_and_would_show() -> None:
    torch.manual_seed(0)
    network = sharpened(stack(circular(1, 4), nn.ReLU(), PolyphasePool2d(2), circular(4, 4), nn.ReLU()))
    with pytest.raises(UsageError, match="2: 33 x 33 places are no multiple of its stride 2"):
        certify(network, some_pictures(side=33))
    certify(network, some_pictures(2, side=32), seconds=3)
    pool = Cropping(2)
    network[2] = pool
    assert "condition_slice" in told(network, 9)
    assert not tried(network, some_pictures(4, side=9)).is_held


def test_later_faults_are_told_beside_a_side_that_does_not_fit() -> None:
    network = stack(circular(1, 4), PolyphasePool2d(2), nn.Conv2d(4, 4, 3, padding=1), PolyphasePool2d(2))
    assert told(network, 10) == {"condition_sides": {"3"}, "condition_padding": {"2"}}
    assert told(network, 9) == {"condition_sides": {"1"}, "condition_padding": {"2"}}
    assert told(network, 11) == {"condition_sides": {"1", "3"}, "condition_padding": {"2"}}


# --- near ties


def test_pictures_near_a_tie_are_counted_and_not_certified() -> None:
    torch.manual_seed(0)
    network = sharpened(Residual())
    pictures = some_pictures(5)
    pictures[2] = 0.5  # flat: every phase is as good as any other
    found = certify(network, pictures)
    assert (found.n_certified, found.n_counted) == (4, 1)
    assert found.smallest_margin < 1e-5
    assert found.largest_change_counted is not None
    assert found.num_changed_counted == 0
    strict = certify(network, pictures, delta=1.0)
    assert (strict.n_certified, strict.largest_change, strict.n_counted) == (0, None, 5)


def test_without_the_rule_for_near_ties_a_lie_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    # A choice that looks at places says that it is sure: the shifts tell.
    monkeypatch.setattr(PhaseChoice, "forward", lambda self, x: torch.eye(4)[:1].repeat(len(x), 1))
    torch.manual_seed(0)
    with pytest.raises(ParityError, match="changed by"):
        certify(sharpened(Residual()), some_pictures())


# --- how much is tried


def test_at_least_twenty_pictures_get_every_shift_where_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    network, pictures = sharpened(Residual()), some_pictures(30)
    clock = iter(float(each) / 4 for each in range(10_000))
    monkeypatch.setattr(MODULE.time, "perf_counter", lambda: next(clock))
    # A quarter of a second a picture: 20 take 5 s, twice of 3 s.
    found = certify(network, pictures, seconds=3)
    assert (found.protocol.n_every, found.protocol.n_one) == (20, 10)
    # For 20 there is no time: as many as there is time for.
    found = certify(network, pictures, seconds=1)
    assert 1 <= found.protocol.n_every <= 4


def test_single_and_double_precision_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    network, pictures = sharpened(Residual()), some_pictures(3)
    single, double = certify(network, pictures), certify(network.double(), pictures.double())
    assert (single.protocol.dtype, double.protocol.dtype) == ("float32", "float64")
    assert double.largest_change < 1e-12 < single.largest_change


def test_pictures_and_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="3 pictures and 2 labels"):
        certify(Residual(), some_pictures(3), [0, 1])
    with pytest.raises(UsageError, match=r"shape \(1, 8, 8\)"):
        certify(Residual(), some_pictures(3)[0])
    with pytest.raises(UsageError, match=r"Labels have shape \(3, 1\); expected one"):
        certify(Residual(), some_pictures(3), np.zeros((3, 1), np.int64))
    with pytest.raises(UsageError, match=r"Pictures are numpy.ndarray; .* torch.from_numpy"):
        certify(Residual(), some_pictures(3).numpy())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"of 1 x 1 pixels: .* at least 2 pixels"):
        certify(Residual(), some_pictures(3)[:, :, :1, :1])


# --- words


@pytest.mark.parametrize("language", ["en", "ko"])
def test_lines_say_what_was_tried_and_what_it_does_not_mean(language: str) -> None:
    pictures = some_pictures(5)
    pictures[2] = 0.5
    found = certify(sharpened(Residual()), pictures, [0] * 5)
    text = " ".join(line.strip() for line in certificate_lines(found, language, "pets"))
    assert "pets" in text
    assert "63" in text
    assert f"{found.largest_change:.1e}" in text
    assert "2021" in text
    assert "2021" in sentence(found.sentence, language)
    assert all(len(line) <= 80 for line in certificate_lines(found, "en", "pets"))
    broken = found.model_copy(update={"largest_change": 0.3})
    wrong = {"en": "do not rely", "ko": "믿지"}[language]
    assert wrong in " ".join(certificate_lines(broken, language, "pets"))
    assert wrong in sentence(broken.sentence, language)


def test_the_whole_network_trained_a_little_is_certified() -> None:
    torch.manual_seed(0)
    network = PlainCircular(1, 2, 8, width=8)
    pictures = some_pictures(64)
    labels = (pictures.mean(dim=(1, 2, 3)) > 0.5).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(network(pictures), labels).backward()
        optimizer.step()
    found = certify(network, pictures, labels.tolist())
    assert found.n_certified + found.n_counted == 64
    assert found.n_certified > 55
    assert found.protocol.n_every == 64
