"""A head that cannot be learned is said in words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whyconv.errors import ModelFileError
from whyconv.pretrained.features import Seen, SeenPart
from whyconv.pretrained.learning import Lesson, _learn_head


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
