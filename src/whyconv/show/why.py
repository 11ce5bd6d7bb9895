"""Why convolutions, on one screen: what the lecture says, what was found here, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator

from whyconv.results import CORNERS, PLACES, Square
from whyconv.results.claims import Claim, claims, matched_words, moved_words
from whyconv.results.numbers import in_percent
from whyconv.results.translation import Translation
from whyconv.results.unit_fields import UnitFields
from whyconv.results.why import Why
from whyconv.show.certificate import certificate_lines
from whyconv.show.curves import corner_name
from whyconv.show.detectors import detector_lines
from whyconv.show.hyperparameters import hyperparameter_lines
from whyconv.show.price import price_lines
from whyconv.show.square import unlearned_lines
from whyconv.show.text import printable, table, wrap
from whyconv.show.translation import equivariance_lines, surgery_lines, translation_lines
from whyconv.texts import say


def why_lines(why: Why, language: str) -> list[str]:
    """Returns the lecture's claims as rows, each with its numbers, their intervals and a plain word."""
    lines = [*wrap(say("why_head", language, run=printable(why.run)), ""), *_accuracy_lines(why.square, language)]
    for claim in claims(why.square):
        lines += _claim_lines(claim, language)
    lines += _invariance(why, language)
    lines += ["", *unlearned_lines(why.square, language), *wrap(say("why_loose_ends", language), "  ")]
    if words := matched_words(why.square):
        lines += wrap(say("why_same_parameters", language, **words), "  ")
    if why.left_out:
        parts = ", ".join(say(f"why_part_{name}", language) for name in why.left_out)
        lines += wrap(say("why_left_out_parts", language, parts=parts), "  ")
    return lines


def detail_lines(why: Why, language: str) -> list[str]:
    """Returns all that was measured of the run's own network, and of the layer's hyperparameters, in full."""
    has_room = not any(one.what == "crop" for one in why.not_measured)
    lines = translation_lines(why.translation, language, has_room=has_room) if why.translation else []
    for found in _network_parts(why, language):
        lines += ["", *found]
    if why.hyperparameters:
        lines += ["", *hyperparameter_lines(why.hyperparameters, language)]
    reasons = why.failed | {part: say(key, language) for part, key in why.not_available.items()}
    for part, reason in reasons.items():
        name = say(f"stage_{part}", language)
        lines += wrap(say("why_failed", language, part=name, reason=printable(reason)), "! ")
    return lines


def _accuracy_lines(square: Square, language: str) -> list[str]:
    """The corners' accuracies, which all below compares: a row for pictures as they are, and one for moved ones."""
    rows = [["", *(corner_name(corner, language) for corner in CORNERS)]]
    for place in PLACES:
        found = [in_percent(square.score(corner, place).accuracy) for corner in CORNERS]
        rows.append([say(f"why_row_{place}", language), *found])
    return [*wrap(say("why_accuracies", language, n=square.protocol.sizes[-1]), ""), *table(rows)]


def _network_parts(why: Why, language: str) -> Iterator[list[str]]:
    if why.fields and why.fields.units:
        yield _field_lines(why.fields, language)
    if why.certificate:
        yield certificate_lines(why.certificate, language, why.run)
    if why.equivariance:
        yield equivariance_lines(why.equivariance, language)
    if why.surgery:
        yield surgery_lines(why.surgery, language)
    if why.price:
        yield price_lines(why.price, language)
    if why.detectors:
        yield detector_lines(why.detectors, language)


def _field_lines(found: UnitFields, language: str) -> list[str]:
    """What the middle unit of a few layers sees."""
    shown = ", ".join(f"{printable(one.layer)} {one.size[0]} x {one.size[1]}" for one in found.units)
    return wrap(say("unit_fields", language, high=found.picture[0], wide=found.picture[1], fields=shown), "  ")


def _moved_lines(found: Translation, language: str) -> list[str]:
    """One kind of shifts in one sentence."""
    kind = say(f"translation_kind_{found.protocol.kind}", language)
    return wrap(say("why_moved", language, kind=kind, **moved_words(found)), "    ")


def _invariance(why: Why, language: str) -> list[str]:
    lines = wrap(say("why_claim_invariance", language), "")
    for found in why.translation:
        lines += _moved_lines(found, language)
    for missing in why.not_measured:
        kind = say(f"translation_kind_{missing.what}", language)
        lines += wrap(say("why_not_measured", language, kind=kind, reason=say(missing.reason, language)), "    ")
    return lines


def _claim_lines(claim: Claim, language: str) -> list[str]:
    words = claim.words(say("curves_unknown", language))
    return [
        *wrap(say(f"why_claim_{claim.name}", language), ""),
        *wrap(say(f"why_found_{claim.sentence}", language, **words), "    "),
        *wrap(f"-> {say(f'why_verdict_{claim.holds}', language)}", "    "),
    ]
