"""What is kept where nothing can choose; a head that cannot be learned is said in words."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whyconv.errors import ModelFileError
from whyconv.nets.efficientnet import EfficientNetLite0
from whyconv.pretrained.features import Seen, SeenPart
from whyconv.pretrained.learning import Learned, Lesson, _learn_head, learn
from whyconv.results import Note
from whyconv.training.outcome import Outcome
from whyconv.training.pixel_rows import LabelledPixels

NUM_TRAIN, NUM_VALIDATION = 6, 4


@pytest.mark.parametrize("num_validation", [0, 6])
def test_features_beyond_all_bounds_are_blamed_on_the_file(num_validation: int, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    features = (np.abs(random.normal(size=(20 + num_validation, 4))).clip(1, 3) * 1e38).astype(np.float32)
    labels = (np.arange(20 + num_validation) % 2).astype(np.int32)
    parts = [SeenPart([Seen(features[rows], None)], labels[rows]) for rows in (slice(20), slice(20, None))]
    lesson = SimpleNamespace(
        plan=SimpleNamespace(training=SimpleNamespace(class_offsets=[0.0, 0.0])),
        frozen=SimpleNamespace(penalties=[0.1, 0.01], iterations=5),
        bank=SimpleNamespace(network=SimpleNamespace(backbone=SimpleNamespace(name="tiny.onnx"))),
        notify=cast("Any", lambda event: None),
    )
    with pytest.raises(ModelFileError, match=r"tiny\.onnx: no head can be learned from its features"):
        _learn_head(cast("Lesson", lesson), *parts, 0.0)


def look(name: str, data: LabelledPixels, view: str, **_: Any) -> Seen:
    """What goes into the last convolution of four places, made up; of no pictures there are no maps."""
    random = np.random.default_rng(len(name + view))
    features = random.normal(size=(len(data), 1280)).astype(np.float32)
    return Seen(features, random.normal(size=(len(data), 320, 4)).astype(np.float16) if len(data) else None)


def tuned(num_validation: int, folder: Path) -> tuple[Outcome, Learned, list[Note]]:
    """One step of tuning by a plan of two views."""
    recipe = SimpleNamespace(
        optimizer="adamw",
        learning_rate=1e-3,
        momentum=0.9,
        weight_decay=0.0,
        label_smoothing=0.1,
        epochs=2,
        steps=1,
        stop_after=0,
        batch=NUM_TRAIN,
        warmup_fraction=0.0,
        class_offsets=[0.0, 0.0],
    )
    plan = SimpleNamespace(
        seed=0,
        training=recipe,
        network=SimpleNamespace(views=["upright", "closer"]),
        frozen=SimpleNamespace(
            first_block=16, looked_at=0, penalties=[0.3, 0.03, 0.003], iterations=5, numbers="float32"
        ),
    )
    bank, events = SimpleNamespace(look=look, network=SimpleNamespace(backbone=None)), list[Any]()
    network = EfficientNetLite0(num_classes=2).eval()
    lesson = Lesson(
        cast("Any", plan), cast("Any", bank), lambda: network, folder, events.append, lambda: 0, deadline=math.inf
    )
    parts = [
        LabelledPixels(np.zeros((n, 1, 1, 3), np.uint8), (np.arange(n) % 2).astype(np.int32))
        for n in (NUM_TRAIN, num_validation)
    ]
    return *learn(lesson, *parts), [each for each in events if isinstance(each, Note)]


@pytest.mark.parametrize("num_validation", [0, NUM_VALIDATION])
def test_without_validation_the_middle_penalty_and_the_tuned_blocks_are_kept(num_validation: int, tmp_path) -> None:
    outcome, learned, notes = tuned(num_validation, tmp_path)
    keys = [each.key for each in notes]
    assert outcome.num_steps == 1
    assert learned.logits.shape == (num_validation, 2)
    assert (learned.validation_features.shape, learned.validation_features.dtype) == ((num_validation, 1280), "f4")
    assert learned.features.shape == (NUM_TRAIN, 1280)
    if num_validation:
        assert keys[0] == "start_head"
        assert keys[1] in ("start_tuning_kept", "start_tuning_left")
    else:
        assert (keys, notes[0].values) == (["start_head_middle"], {"penalty": 0.03})
        assert (outcome.best_epoch, set(learned.tuned)) == (2, {"_conv_head"})
