"""What does not go with a network that has learned before is refused before a picture is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from tiny_backbone import tiny_backbone
from tiny_training import write_bars
from whyconv.errors import MissingExtraError, ModelFileError, UsageError
from whyconv.inspection import inspect
from whyconv.nets.pretrained import has_published_weights
from whyconv.pretrained import check_start
from whyconv.pretrained.choosing import choose_start
from whyconv.settings import TrainSettings

needs_weights = pytest.mark.skipif(not has_published_weights(), reason="the extra pretrained is not installed")


@pytest.fixture
def backbone(tmp_path: Path) -> str:
    path = tmp_path / "features.onnx"
    onnx.save(tiny_backbone(), path)
    return str(path)


def settings(**words: Any) -> TrainSettings:
    return TrainSettings.of({"pictures": "x", **words})


@pytest.mark.parametrize("words", [{}, {"start": "scratch"}, {"start": "scratch", "on_divergence": "skip"}])
def test_a_training_from_the_start_takes_everything(words: dict[str, Any]) -> None:
    check_start(settings(**words))


@needs_weights
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"on_divergence": "skip"}, "--on-divergence skip: what is learned on pretrained leaves no step out"),
        ({"members": 3}, "--members 3: what is learned on pretrained is one network"),
        ({"network": "resnet18"}, "brings its own network, so that --network resnet18"),
    ],
)
def test_what_published_weights_do_not_go_with(words: dict[str, Any], told: str) -> None:
    check_start(settings(start="pretrained"))
    with pytest.raises(UsageError, match=told):
        check_start(settings(start="pretrained", **words))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"on_divergence": "skip"}, "leaves no step out"),
        ({"members": 2}, "--members 2: what is learned on .* is one network"),
        ({"network": "swift"}, "brings its own network, so that --network swift"),
        ({"epochs": 3, "learning_rate": 0.1}, "--epochs, --learning-rate: of .* only a head is learned"),
    ],
)
def test_what_a_feature_network_does_not_go_with(backbone: str, words: dict[str, Any], told: str) -> None:
    check_start(settings(start=backbone))
    with pytest.raises(UsageError, match=told):
        check_start(settings(start=backbone, **words))


@pytest.mark.parametrize(
    ("words", "starts"), [({}, "pretrained"), ({"members": 1}, "pretrained"), ({"members": 2}, None)]
)
def test_several_members_speak_of_a_training_from_scratch(
    words: dict[str, Any], starts: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whyconv.pretrained.choosing.has_published_weights", lambda: True)
    monkeypatch.setattr("whyconv.pretrained.choosing._are_photos", lambda inspection: True)
    inspection = inspect(write_bars(tmp_path / "bars", 20), store=tmp_path / "store")
    assert choose_start(settings(**words), inspection, lambda event: None).start == starts


def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelFileError, match=r"no starting weights in .*none\.safetensors"):
        check_start(settings(start=str(tmp_path / "none.safetensors")))
    monkeypatch.setattr("whyconv.pretrained.choosing.has_published_weights", lambda: False)
    with pytest.raises(MissingExtraError, match="pretrained"):
        check_start(settings(start="pretrained"))
