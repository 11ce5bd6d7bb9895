"""The head against scikit-learn's logistic regression, which solves the same problem otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from whyconv.pretrained.head import fit_heads, mean_cost


def cloud(n: int = 150, d: int = 8, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n).astype(np.int32)
    centers = generator.normal(size=(classes, d))
    features = 5 + 3 * (centers[labels] + generator.normal(size=(n, d)))
    return features.astype(np.float32), labels


@pytest.mark.parametrize("penalty", [0.3, 0.03])
def test_the_minimum_is_scikit_learns(penalty: float) -> None:
    features, labels = cloud()
    (head,) = fit_heads([features], labels, [0.0] * 3, [penalty], 200)
    unit = np.sqrt(features.var(axis=0).mean())
    scaled = (features - features.mean(axis=0)) / unit
    # Its C weighs the summed cross-entropy against half of the squared weights.
    oracle = LogisticRegression(C=1 / (penalty * len(labels)), tol=1e-8, max_iter=2000).fit(scaled, labels)
    expected = oracle.predict_log_proba(scaled)
    logits = head.logits(features)
    found = (
        logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True)) - logits.max(1)[:, None]
    )
    assert np.allclose(found, expected, atol=5e-3)
    (other,) = fit_heads([features], labels, [0.0] * 3, [penalty * 3], 200)
    assert not np.allclose(other.logits(features), logits, atol=5e-3)


def test_views_are_rows_more_and_the_path_ends_where_a_fit_alone_does() -> None:
    features, labels = cloud()
    mirrored = features[:, ::-1].copy()
    *_, along = fit_heads([features, mirrored], labels, [0.0] * 3, [1.0, 0.1], 200)
    (alone,) = fit_heads([features, mirrored], labels, [0.0] * 3, [0.1], 200)
    assert np.allclose(along.logits(features), alone.logits(features), atol=5e-3)


def test_offsets_take_the_shares_of_the_classes_out() -> None:
    features, labels = cloud(n=400)
    rare = np.flatnonzero((labels != 0) | (np.arange(400) % 8 == 0))
    counts = np.bincount(labels[rare])
    offsets = np.log(3 * counts / counts.sum()).tolist()
    (plain,) = fit_heads([features[rare]], labels[rare], [0.0] * 3, [0.1], 200)
    (even,) = fit_heads([features[rare]], labels[rare], offsets, [0.1], 200)
    fresh, truth = cloud(n=400)
    found = [(each.logits(fresh).argmax(1)[truth == 0] == 0).mean() for each in (plain, even)]
    assert found[1] > found[0]
    assert mean_cost(even.logits(fresh), truth, [0.0] * 3) < mean_cost(plain.logits(fresh), truth, [0.0] * 3)


def test_the_same_features_give_the_same_bits() -> None:
    features, labels = cloud()
    heads = [next(fit_heads([features], labels, [0.0] * 3, [0.1], 50)) for _ in range(2)]
    assert np.array_equal(heads[0].weights, heads[1].weights)
