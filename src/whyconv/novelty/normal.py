"""Looks on a scale on which those of training pictures are normal: how far from all of them one lies. NumPy only.

A few photos in a hundred are drawings, gray, or blank. On the own scale of looks these stretch a Gaussian so far that
noise and handwriting fit into it. By their ranks they do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Of each look: places, evenly spaced on the normal scale, between which the map is a line.
_NUM_KNOTS = 17
# What differs by less than rounding is the same; a look that all training pictures share spreads so little.
_LEAST_STEP, _LEAST_SPREAD, _TINY = 1e-3, 0.5, 1e-6


@dataclass(frozen=True, eq=False)
class NormalScale:
    """A map from looks to numbers that are uncorrelated and of variance 1 over the training pictures.

    Each look goes through a rising line of ``k`` pieces that stays level outside of what training pictures have:
    ``lowest`` + Σ_j ``slopes``_j min(max(x - ``starts``_j, 0), ``lengths``_j); then ``whitening`` is applied to the
    differences from ``mean``.

    Attributes:
        lowest: Where all lines begin.
        starts: Of the pieces (k, m).
        lengths: Of the pieces (k, m), above 0.
        slopes: Of the pieces (k, m).
        mean: (m,).
        whitening: (m, m).
    """

    lowest: float
    starts: Floats
    lengths: Floats
    slopes: Floats
    mean: Floats
    whitening: Floats

    def strangeness(self, looks: Floats) -> Floats:
        """Root mean square (n,) of looks (n, m) on this scale: about 1 for training pictures."""
        white = (self._normal(looks) - self.mean) @ self.whitening
        return np.asarray(np.sqrt((white**2).mean(axis=1)))

    def _normal(self, looks: Floats) -> Floats:
        pieces = np.clip(looks[:, None, :] - self.starts, 0, self.lengths) * self.slopes
        return np.asarray(self.lowest + pieces.sum(axis=1))


def normal_scale(looks: Floats) -> NormalScale:
    """Learns the scale from the looks of training pictures (n, m), n >= 1.

    A line joins the quantiles of each look to those of the normal distribution, from that of rank 1/2 to that of rank
    n - 1/2. Covariance is shrunk towards a multiple of the identity.

    References:
        Liu, Lafferty, Wasserman, *The nonparanormal* (2009), Journal of Machine Learning Research 10. Ledoit, Wolf,
        *A well-conditioned estimator for large-dimensional covariance matrices* (2004), section 3.2.
    """
    normal = NormalDist()
    farthest = normal.inv_cdf(1 - 0.5 / len(looks))
    knots = np.linspace(-farthest, farthest, _NUM_KNOTS)
    quantiles = np.quantile(looks, [normal.cdf(knot) for knot in knots.tolist()], axis=0)
    lengths = np.maximum(np.diff(quantiles, axis=0), _LEAST_STEP)
    starts = quantiles[0] + np.concatenate([np.zeros_like(lengths[:1]), np.cumsum(lengths, axis=0)[:-1]])
    slopes = np.diff(knots)[:, None] / lengths
    scale = NormalScale(-farthest, starts, lengths, slopes, np.zeros(looks.shape[1]), np.eye(looks.shape[1]))
    mean, whitening = _whitening(scale._normal(looks))
    return NormalScale(-farthest, starts, lengths, slopes, mean, whitening)


def _whitening(rows: Floats) -> tuple[Floats, Floats]:
    """Mean (m,), and a matrix (m, m) that whitens differences from it: columns at spread 1, covariance shrunk."""
    mean, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), _LEAST_SPREAD)
    x = (rows - mean) / spread
    (n, m), covariance = x.shape, x.T @ x / len(x)
    level = np.trace(covariance) / m
    distance = ((covariance - level * np.eye(m)) ** 2).sum()
    noise = (((x**2).sum(axis=1) ** 2).sum() / n - (covariance**2).sum()) / n
    weight = min(1.0, noise / distance) if distance > 0 else 1.0
    shrunk = (1 - weight) * covariance + (weight * level + _TINY) * np.eye(m)
    return mean, np.linalg.inv(np.linalg.cholesky(shrunk)).T / spread[:, None]
