"""Split-conformal ranks, and sets of labels that hold the truth as often as was asked for. Nothing but arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from numbers import Real

from whyconv.errors import UsageError

# (n + 1) * 0.95 is 18.999999999999996 for n = 19.
_ROUNDING = 1e-9
# Of the validation pictures whose scores a file keeps.
MOST_TRUTHS = 2000


def conformal_rank(n: int, level: float) -> int | None:
    """Which of n scores in ascending order a new one is at most, with a probability of at least ``level``.

    Args:
        n: Scores of pictures that the new one is exchangeable with.
        level: In (0, 1).

    Returns:
        ceil((n + 1) level), counted from 1; None where that is more than n: too few to say.

    References:
        Vovk, Gammerman, Shafer, *Algorithmic learning in a random world* (2005), chapter 4. Lei and others,
        *Distribution-free predictive inference for regression* (2018), JASA 113, section 2.2, for the split form.
    """
    rank = max(1, math.ceil((n + 1) * level - _ROUNDING))
    return rank if rank <= n else None


def least_needed(level: float) -> int:
    """The fewest pictures with which ``conformal_rank`` says something: level / (1 - level), of the digits written."""
    exact = Fraction(str(level))
    return max(1, math.ceil(exact / (1 - exact)))


def highest_level(n: int) -> float:
    """The highest level that n >= 1 pictures allow, n / (n + 1), rounded down."""
    exact = n / (n + 1)
    digits = 2 - math.floor(math.log10(1 - exact) + _ROUNDING) - 1
    scale = float(10**digits)
    return math.floor(exact * scale + _ROUNDING) / scale


def require_level(level: float, n: int | None) -> None:
    """Refuses a level that is no fraction, or that n validation pictures cannot show.

    Args:
        level: As asked for.
        n: Validation pictures whose scores are known; None where the file holds none.

    Raises:
        UsageError: See above.
    """
    if not _is_fraction(level):
        raise UsageError(
            f"The level of the answer sets is {_told(level)}. Expected more than 0 and less than 1, as 0.95."
        )
    if not n:
        raise UsageError(
            "This recognizer holds no scores of validation pictures, from which answer sets follow: it was made "
            "without any, or by an older whyconv. A run of your own gets them with:  whyconv train --resume RUN"
        )
    if conformal_rank(n, level) is None:
        raise UsageError(_too_few(level, n))


def _is_fraction(level: object) -> bool:
    return isinstance(level, Real) and 0 < float(level) < 1


def _told(level: object) -> str:
    return f"{float(level):g}" if isinstance(level, Real) else repr(level)


def _too_few(level: float, n: int) -> str:
    """What n validation pictures allow, and whether more of them would help."""
    needed = least_needed(level)
    is_out_of_reach = needed > MOST_TRUTHS
    most = f", and none keeps the scores of more than {MOST_TRUTHS:,}" if is_out_of_reach else ""
    more = ", or train with more validation pictures" if n < MOST_TRUTHS else ""
    limit = f", for up to {highest_level(MOST_TRUTHS):g}" if is_out_of_reach and more else ""
    return (
        f"Sets at {level} need {needed:,} validation pictures; this recognizer has {n:,}{most}. "
        f"Ask for at most {highest_level(n):g}{more}{limit}."
    )


def least_probability(truths: Sequence[float], level: float) -> float:
    """The probability from which on a label belongs to the set.

    The score of a picture is 1 - p, with p the probability of its true class; a set holds the labels whose score is
    at most the conformal quantile of the validation pictures' scores. Of all sets with the same coverage these are
    the smallest on average, and one number makes them, in whatever program reads the probabilities.

    Args:
        truths: p of each validation picture, ascending.
        level: At least this fraction of sets is to hold the truth.

    Raises:
        UsageError: The level is no fraction, or there are too few validation pictures for it.

    References:
        Sadinle, Lei, Wasserman, *Least ambiguous set-valued classifiers with bounded error levels* (2019), JASA 114.
    """
    require_level(level, len(truths))
    rank = conformal_rank(len(truths), level)
    assert rank is not None
    return truths[len(truths) - rank]
