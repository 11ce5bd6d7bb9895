"""Why convolutions, on one screen: what the lecture says, what was found here, and whether it holds."""

from __future__ import annotations

from collections.abc import Mapping

from whyconv.results import Estimate, Square
from whyconv.results.translation import Translation
from whyconv.results.why import Why
from whyconv.show.curves import crossing_text, in_percent, in_points
from whyconv.show.detectors import detector_lines
from whyconv.show.hyperparameters import hyperparameter_lines
from whyconv.show.price import price_lines
from whyconv.show.text import printable, wrap
from whyconv.show.translation import equivariance_lines, surgery_lines, translation_lines
from whyconv.texts import say


def why_lines(why: Why, language: str) -> list[str]:
    """Returns the lecture's claims as rows, each with its numbers, their intervals and a plain word."""
    lines = wrap(say("why_head", language, run=printable(why.run)), "")
    for claim in (_fewer, _locality, _sharing, _pictures, _overfitting):
        lines += claim(why.square, language)
    lines += _invariance(why, language)
    lines += ["", *wrap(say("why_loose_ends", language), "  ")]
    if why.left_out:
        parts = ", ".join(say(f"why_part_{name}", language) for name in why.left_out)
        lines += wrap(say("why_left_out_parts", language, parts=parts), "  ")
    return lines


def detail_lines(why: Why, language: str) -> list[str]:
    """Returns all that was measured of the run's own network, and of the layer's hyperparameters, in full."""
    has_room = not any(one.what == "crop" for one in why.not_measured)
    lines = translation_lines(why.translation, language, has_room=has_room) if why.translation else []
    if why.equivariance:
        lines += ["", *equivariance_lines(why.equivariance, language)]
    if why.surgery:
        lines += ["", *surgery_lines(why.surgery, language)]
    if why.price:
        lines += ["", *price_lines(why.price, language)]
    if why.detectors:
        lines += ["", *detector_lines(why.detectors, language)]
    if why.hyperparameters:
        lines += ["", *hyperparameter_lines(why.hyperparameters, language)]
    for part, reason in why.failed.items():
        name = say(f"stage_{part}", language)
        lines += wrap(say("why_failed", language, part=name, reason=printable(reason)), "! ")
    return lines


def _moved_lines(found: Translation, language: str) -> list[str]:
    """One kind of shifts in one sentence."""
    values = {
        "kind": say(f"translation_kind_{found.protocol.kind}", language),
        "consistency": in_percent(found.consistency),
        "kappa": f"{found.kappa.value:.2f} ({found.kappa.low:.2f}-{found.kappa.high:.2f})",
        "worst": in_percent(found.worst_case),
        "right": in_percent(found.worst_case_correct),
        "accuracy": in_percent(found.accuracy),
    }
    return wrap(say("why_moved", language, **values), "    ")


def _fewer(square: Square, language: str) -> list[str]:
    weights = square.weights
    values = {
        "dense": weights["dense"],
        "convolution": weights["convolution"],
        "ratio": weights["dense"] / weights["convolution"],
        "locality": weights["dense"] / weights["local"],
        "sharing": weights["local"] / weights["convolution"],
    }
    return _claim("fewer", "exact", values, language)


def _locality(square: Square, language: str) -> list[str]:
    still, moved = square.split("still"), square.split("moved")
    values = {"still": in_points(still.locality_first), "moved": in_points(moved.locality_first)}
    return _claim("locality", _both(still.locality_first, moved.locality_first), values, language)


def _sharing(square: Square, language: str) -> list[str]:
    still, moved = square.split("still"), square.split("moved")
    values = {"still": in_points(still.sharing_second), "moved": in_points(moved.sharing_second)}
    return _claim("sharing", _both(still.sharing_second, moved.sharing_second), values, language)


def _both(still: Estimate, moved: Estimate) -> str:
    """Whether a gain holds in both places, in one of them, in none, or cannot be told."""
    gains = [one.low > 0 for one in (still, moved)]
    losses = [one.high < 0 for one in (still, moved)]
    if all(gains):
        return "holds"
    if all(losses):
        return "fails"
    if any(gains):
        return "moved_only" if gains[1] else "still_only"
    return "fails_one" if any(losses) else "unknown"


def _pictures(square: Square, language: str) -> list[str]:
    pairs = [one for one in square.ratios if (one.corner, one.beside, one.arm) == ("dense", "convolution", "plain")]
    if not pairs:
        return []
    told, verdicts = {}, []
    for place in ("still", "moved"):
        ratios = [one for one in pairs if one.place == place]
        # The highest target about which something is known.
        known = [one for one in ratios if (one.times.value, one.times.above, one.times.below) != (None, None, None)]
        chosen = (known or ratios)[-1]
        told[place] = crossing_text(chosen.times, language, is_ratio=True)
        told[f"{place}_target"] = f"{100 * chosen.target:.0f}"
        verdicts.append(1 if (chosen.times.low or 0) > 1 else -1 if (chosen.times.high or 2) < 1 else 0)
    return _claim("pictures", _verdict(verdicts), told, language)


def _verdict(signs: list[int]) -> str:
    """A word for the signs of what was found with pictures as they are, and with moved ones."""
    if signs[0] == signs[1]:
        return {1: "holds", -1: "fails", 0: "unknown"}[signs[0]]
    if 1 in signs:
        return "moved_only" if signs[1] == 1 else "still_only"
    return "fails_one"


def _overfitting(square: Square, language: str) -> list[str]:
    found = {(one.place, one.corner): one for one in square.gaps}
    values, signs = {}, []
    for place in ("still", "moved"):
        dense, convolution = found[place, "dense"].gap, found[place, "convolution"].gap
        values[f"{place}_dense"], values[f"{place}_convolution"] = in_points(dense), in_points(convolution)
        signs.append((dense.low > convolution.high) - (dense.high < convolution.low))
    return _claim("overfitting", _verdict(signs), values, language)


def _invariance(why: Why, language: str) -> list[str]:
    lines = wrap(say("why_claim_invariance", language), "")
    for found in why.translation:
        lines += _moved_lines(found, language)
    for missing in why.not_measured:
        kind = say(f"translation_kind_{missing.what}", language)
        lines += wrap(say("why_not_measured", language, kind=kind, reason=say(missing.reason, language)), "    ")
    return lines


def _claim(name: str, verdict: str, values: Mapping[str, object], language: str) -> list[str]:
    return [
        *wrap(say(f"why_claim_{name}", language), ""),
        *wrap(say(f"why_found_{name}", language, **values), "    "),
        *wrap(f"-> {say(f'why_verdict_{verdict}', language)}", "    "),
    ]
