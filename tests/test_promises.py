"""What a run on the digits promises, it keeps: coverage, acceptance, and that noise and blank pictures are unsure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import Demo
from tiny_model import write_model
from whyconv.finishing import read_summary
from whyconv.images.prepare import PicturePolicy
from whyconv.model_file import Metadata
from whyconv.promises import Examples, ValidationAnswers, add_promises, judged
from whyconv.recognizer import Recognizer, open_recognizer


@pytest.fixture(scope="module")
def recognizer(demo_run: Demo) -> Recognizer:
    return open_recognizer(demo_run.run)


def unsure_fraction(recognizer: Recognizer, pixels: np.ndarray) -> float:
    found = recognizer.predict(pixels, top=1)
    assert isinstance(found, list)
    assert all(each.is_unsure is not None for each in found)
    return sum(bool(each.is_unsure) for each in found) / len(found)


def test_noise_and_blank_pictures_are_unsure(recognizer: Recognizer) -> None:
    generator, side = np.random.default_rng(5), recognizer.policy.side
    noise = generator.integers(0, 256, (500, side, side), np.uint8)
    blank = np.broadcast_to(generator.integers(0, 256, (500, 1, 1), np.uint8), (500, side, side))
    assert unsure_fraction(recognizer, noise) >= 0.99
    assert unsure_fraction(recognizer, blank) >= 0.99


def test_sets_cover_the_test_digits_as_chance_allows_and_most_digits_are_accepted(demo_run: Demo) -> None:
    score = read_summary(demo_run.run).test
    assert score is not None
    assert score.sets is not None
    assert score.sets.low <= score.sets.bare_coverage.value <= score.sets.high
    assert score.sets.coverage.value >= score.sets.level
    assert 1 <= score.sets.mean_size < 1.2
    assert score.acceptance is not None
    # 4 deviations of the test pictures and of the validation pictures together.
    spread = (0.05 * 0.95 * (1 / score.n + 1 / score.acceptance.n_fit)) ** 0.5
    assert score.acceptance.accepted.value > 0.95 - 4 * spread
    assert score.debiased is not None
    assert score.debiased.n == score.n


def test_the_card_and_the_report_tell_it(demo_run: Demo) -> None:
    card = (demo_run.run / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "**Not called unsure**: 9" in card
    assert "**Answer sets**: at 0.95" in card
    assert "Pictures unlike those it knows are called unsure" in card
    assert 'id="promises"' in (demo_run.run / "report.html").read_text(encoding="utf-8")


def test_a_file_of_an_older_whyconv_answers_and_cannot_tell(tmp_path: Path) -> None:
    recognizer = open_recognizer(write_model(tmp_path / "model.onnx"))
    found = recognizer.predict(np.zeros((8, 8, 3), np.uint8))
    assert not isinstance(found, list)
    assert (found.is_unsure, found.novelty, found.label_set) == (None, None, None)
    assert not recognizer.tells_unsure


@pytest.mark.parametrize("n", [0, 5])
def test_few_validation_pictures_promise_what_they_can(n: int, tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.onnx")
    before, metadata = path.read_bytes(), open_recognizer(path).metadata
    pixels = np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), np.uint8)
    answers = ValidationAnswers(
        pixels, np.zeros(n, np.int32), np.zeros((n, 3), np.float32), np.ones((n, 3), np.float32)
    )
    examples = Examples(np.arange(n), pixels, answers.labels, np.ones((n, 3), np.float32))
    found = add_promises(path, metadata, answers, examples)
    assert found.unsure is None
    if n == 0:
        assert path.read_bytes() == before
        assert found.sets is None
    else:
        # Probabilities of one third, rounded down.
        assert found.sets is not None
        assert found.sets.truths == (0.333333,) * n
        assert open_recognizer(path).metadata == found
        assert open_recognizer(path).least_probability(0.8) == 0.333333


def test_at_most_2000_truths_are_kept_and_none_is_rounded_up(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.onnx")
    logits = np.random.default_rng(0).normal(size=(5001, 3)).astype(np.float32)
    labels = np.zeros(5001, np.int32)
    metadata = Metadata(classes=("red", "green", "blue"), policy=PicturePolicy(side=8, channels=3))
    asked = ValidationAnswers(np.zeros((5001, 8, 8, 3), np.uint8), labels, logits, None)
    found = add_promises(path, metadata, asked, None)
    assert found.sets is not None
    kept = np.array(found.sets.truths)
    powers = np.exp(logits.astype(float))
    own = np.sort(powers[:, 0] / powers.sum(axis=1))
    assert len(kept) == 2000
    # Of a float32, so that 1e-7 may be lacking.
    nearest = own[np.searchsorted(own, kept - 1e-7)]
    assert (nearest - kept).min() >= -1e-7
    assert (nearest - kept).max() < 2e-6


def test_without_a_threshold_nothing_is_judged(demo_run: Demo) -> None:
    score = read_summary(demo_run.run).test
    assert score is not None
    recognizer = open_recognizer(demo_run.run)
    answers = recognizer.ask(np.zeros((4, 8, 8), np.uint8))
    bare = recognizer.metadata.model_copy(update={"sets": None, "unsure": None})
    found = judged(score, answers, np.zeros(4, np.int32), bare)
    assert (found.sets, found.acceptance) == (None, None)
