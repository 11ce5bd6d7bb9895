"""A network taken apart: every question is asked, and a network that one does not fit loses that one alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from small_square import small_pictures
from whyconv import dissecting
from whyconv.dissecting import Dissection, dissect
from whyconv.errors import StoppedError, StorageError, UsageError
from whyconv.results import Progress
from whyconv.results.keeping import Keep, anew


def dissected(
    network: nn.Module, told: list[Progress] | None = None, seconds: float = 20.0, keep: Keep = anew
) -> Dissection:
    notify = (lambda event: None) if told is None else told.append
    return dissect(
        network.eval(), small_pictures(), notify, seconds=seconds, seed=0, check_stop=lambda: None, keep=keep
    )


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)),
    )


def test_every_question_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dissecting, "_PRICE_STEPS", 4)
    told: list[Progress] = []
    network = convolutional()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = dissected(network, told)
    assert found.failed == {}
    assert found.equivariance is not None
    assert found.surgery is not None
    assert found.detectors is not None
    assert found.price is not None
    assert [one.layer for one in found.price.layers] == ["0", "3"]
    assert found.fields is not None
    assert [one.layer for one in found.fields.units] == ["0", "2", "3"]
    assert {one.stage for one in told} == {"fields", "equivariance", "surgery", "detectors", "price"}
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_what_there_is_no_time_for_is_listed() -> None:
    found = dissected(convolutional(), seconds=0.0)
    assert found.price is not None
    assert [one.cause for one in found.price.left_out] == ["time", "time"]


def test_a_question_that_does_not_fit_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise UsageError("no maps in it")

    monkeypatch.setattr(dissecting, "equivariance", refuses)
    found = dissected(convolutional(), seconds=0.0)
    assert found.failed == {"equivariance": "no maps in it"}
    assert found.surgery is not None


def test_an_answer_that_cannot_be_kept_is_not_called_none() -> None:
    def full(name: str, kind: type[Any], question: Callable[[], Any]) -> Any:
        if name == "surgery":
            raise StorageError("no space left")
        return question()

    with pytest.raises(StorageError, match="no space left"):
        dissected(convolutional(), seconds=0.0, keep=full)


def test_a_stop_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise StoppedError("Stopped.")

    kept, keep = keeping()
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(dissecting, "surgery", stopped)
        dissected(convolutional(), seconds=0.0, keep=keep)
    assert list(kept) == ["fields", "equivariance"]
    # What was answered before the stop is not asked again.
    monkeypatch.setattr(dissecting, "equivariance", stopped)
    found = dissected(convolutional(), seconds=0.0, keep=keep)
    assert (found.fields, found.equivariance) == (kept["fields"], kept["equivariance"])
    assert list(kept) == ["fields", "equivariance", "surgery", "detectors", "price"]


def keeping() -> tuple[dict[str, Any], Any]:
    """What is kept, and who keeps it."""
    kept: dict[str, Any] = {}

    def keep(name: str, _: type, question: Callable[[], Any]) -> Any:
        if name not in kept:
            kept[name] = question()
        return kept[name]

    return kept, keep
