"""Maps of a network that has learned: they lie where the digit lies, and go when the weights go."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from scipy.stats import spearmanr

from evidence_files import CANVAS, Placed, export_network, learned_network, placed_digits
from whyconv.errors import UsageError
from whyconv.evidence import Explainer, evidence_map, randomization_test, randomized
from whyconv.evidence.randomizing import rank_correlation
from whyconv.results.evidence import EvidenceMap, MapKind
from whyconv.settings import NetworkPlan

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
KINDS = get_args(MapKind)


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> Explainer:
    plan = NetworkPlan(
        name="plain",
        in_channels=1,
        side=CANVAS,
        classes=["zero", "one", "two"],
        mean=[20.0],
        std=[60.0],
        views=["upright"],
    )
    return export_network(tmp_path_factory.mktemp("learned") / "model.onnx", learned_network(plan), plan)


@pytest.fixture(scope="module")
def known(learned: Explainer) -> Placed:
    """Test pictures that are answered rightly."""
    found = placed_digits(60, 1, is_test=True)
    is_right = learned.recognizer.run(found.pixels).probabilities.argmax(axis=1) == found.labels
    assert is_right.mean() > 0.85
    return Placed(*(each[is_right][:24] for each in found))


def mass_in_quadrant(found: EvidenceMap, down: int, right: int) -> float:
    """The fraction of what speaks for the class that lies in one quadrant of the picture."""
    values = np.clip(np.array(found.values), 0, None)
    top, left, height, width = found.box
    middle = CANVAS / 2
    rows = top + height * (np.arange(len(values)) + 0.5) / len(values)
    columns = left + width * (np.arange(values.shape[1]) + 0.5) / values.shape[1]
    inside = np.outer((rows > middle) == bool(down), (columns > middle) == bool(right))
    return float(values[inside].sum() / values.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_the_mass_of_the_map_lies_in_the_quadrant_of_the_digit(
    learned: Explainer, known: Placed, kind: MapKind
) -> None:
    shares = []
    for pixels, label, down, right in zip(*known, strict=True):
        found = evidence_map(learned, pixels, int(label), kind)
        shares.append(mass_in_quadrant(found, down, right))
    # A map that knows nothing of the digit has a quarter there.
    assert np.mean(shares) > 0.6
    # The check itself fails where the map is of another picture.
    turned = [
        mass_in_quadrant(evidence_map(learned, pixels[::-1, ::-1].copy(), int(label), kind), down, right)
        for pixels, label, down, right in zip(*known, strict=True)
    ]
    assert np.mean(turned) < 0.25


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", ["head", "all"])
def test_with_random_weights_the_map_is_another(learned: Explainer, known: Placed, kind: MapKind, layers: str) -> None:
    found = randomization_test(learned.recognizer, known.pixels[:8], kind=kind, layers=layers, num_draws=8)
    assert (found.kind, found.weights, found.n, found.num_draws) == (kind, layers, 8, 8)
    assert found.correlation.low < 0.3
    assert abs(found.correlation.value) < 0.5


def test_an_edge_detector_is_found_out(learned: Explainer, known: Placed) -> None:
    def edges(explainer: Explainer, pixels: np.ndarray, label: int) -> np.ndarray:
        return np.hypot(*np.gradient(pixels[:, :, 0].astype(float)))

    found = randomization_test(learned.recognizer, known.pixels[:4], num_draws=2, draw=edges)
    assert found.correlation.value == pytest.approx(1)


def test_only_the_weights_that_are_asked_for_are_drawn_anew(learned: Explainer) -> None:
    before = learned.graph.arrays
    for layers, count in (("head", 1), ("all", 4)):
        after = Explainer(randomized(learned.recognizer, layers, seed=3)).graph.arrays
        changed = [name for name in before if not np.array_equal(before[name], after[name])]
        assert len(changed) == count
        for name in changed:
            assert after[name].std() == pytest.approx(before[name].std(), rel=0.5)


def test_rank_correlation_is_scipys() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        one, other = generator.integers(0, 6, (2, 5, 4)).astype(float)
        assert rank_correlation(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert rank_correlation(one, np.ones_like(one)) == 0


def test_a_test_of_one_draw_is_refused(learned: Explainer, known: Placed) -> None:
    with pytest.raises(UsageError, match="1 draws"):
        randomization_test(learned.recognizer, known.pixels, num_draws=1)
