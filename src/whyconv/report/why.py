"""The section of the report on why convolutions: rendered from its record, put into a page that has a place for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from whyconv.report.atlas import inline_atlas
from whyconv.report.blocks import Block, teller
from whyconv.report.curves import Figure
from whyconv.report.page import WHY_BEGINS, WHY_ENDS, environment
from whyconv.report.why_hyperparameters import hyperparameters_block
from whyconv.report.why_matched import matched_block
from whyconv.report.why_network import (
    Patches,
    certificate_block,
    detectors_block,
    equivariance_block,
    fields_block,
    moved_block,
    price_block,
    surgery_block,
)
from whyconv.report.why_square import claims_block, controls_block, corners_block, curves_block, square_block
from whyconv.results.atlas import Atlas, AtlasSet
from whyconv.results.why import Why

# At the end of the section, between these: what `whyconv why --atlas` draws.
ATLAS_BEGINS, ATLAS_ENDS = "<!-- whyconv why --atlas: begins -->", "<!-- whyconv why --atlas: ends -->"
_UNMEASURED = '<p class="unmeasured">'
_PLACE = re.compile(f"(?<={re.escape(WHY_BEGINS)}).*?(?={re.escape(WHY_ENDS)})", re.DOTALL)
_ATLAS = re.compile(f"{re.escape(ATLAS_BEGINS)}.*?{re.escape(ATLAS_ENDS)}\n", re.DOTALL)


def why_section(
    why: Why, language: str, patches: Patches | None = None, picture: NDArray[np.uint8] | None = None
) -> str:
    """Returns everything that a record says, as HTML without script and address.

    Args:
        why: The record; what is missing in it is left out, or the reason stands there.
        language: "en" or "ko".
        patches: Pixels uint8 (high, wide, channels) of what each detector answers to most, by layer and channel;
            without them maps stand alone.
        picture: Pixels uint8 (high, wide, channels) of the one that fields are drawn on; without it they stand alone.
    """
    say = teller(language)
    reasons = why.failed | {part: say(key) for part, key in why.not_available.items()}
    failed = [(say(f"stage_{part}"), " ".join(reason.split())) for part, reason in reasons.items()]
    template = environment(say).get_template("why.html.j2")
    about = say("report_why_about", version=why.version, seconds=why.seconds)
    return template.render(about=about, blocks=list(_blocks(why, patches or {}, picture, language)), failed=failed)


def with_why(page_html: str, section: str) -> str:
    """Returns a report with the section in its place; what stood there before is replaced.

    Args:
        page_html: A report.
        section: As ``why_section`` gives it.

    Raises:
        LookupError: The page has no place for it, or more than one.
    """
    _require_place(page_html)
    return _PLACE.sub(lambda _: f"\n{section}\n", page_html)


def atlas_section(atlas: Atlas, own: AtlasSet, language: str) -> str:
    """Returns a run among the sets of an atlas, as a part of the section.

    Args:
        atlas: At least one set.
        own: The run, measured by what the section says.
        language: "en" or "ko".
    """
    say = teller(language)
    # At its own size, as wide tables are: shrunk to a phone nobody could read it.
    figure = Markup('<div class="scroll" tabindex="0">{}</div>').format(inline_atlas(atlas, language, own))
    block = Block(title=say("report_why_atlas"), figures=[Figure("", Markup(""), figure)])
    return environment(say).get_template("why.html.j2").render(about="", blocks=[block], failed=[])


def with_atlas(page_html: str, atlas: str) -> str:
    """Returns a report with an atlas at the end of the section; one that stood there before is replaced.

    It stays until the section is written anew: the run's own numbers may be others then.

    Args:
        page_html: A report.
        atlas: As ``atlas_section`` gives it.

    Raises:
        LookupError: The page has no place for it, or more than one.
    """
    _require_place(page_html)
    return _ATLAS.sub("", page_html).replace(WHY_ENDS, f"{ATLAS_BEGINS}\n{atlas}\n{ATLAS_ENDS}\n{WHY_ENDS}")


def lacks_why(page_html: str) -> bool:
    """Whether a report has a place for the section that is still empty."""
    return any(_UNMEASURED in between for between in _PLACE.findall(page_html))


def page_language(page_html: str) -> Literal["en", "ko"]:
    """Returns the language that a report was written in."""
    return "ko" if re.search(r'<html lang="ko"', page_html) else "en"


def _require_place(page_html: str) -> None:
    if page_html.count(WHY_BEGINS) != 1 or len(_PLACE.findall(page_html)) != 1:
        raise LookupError(
            f"The page has no place for the section: expected the marks {WHY_BEGINS} and {WHY_ENDS}, once each. It was "
            "written by another version, or changed by hand. Train anew to have one."
        )


def _blocks(why: Why, patches: Patches, picture: NDArray[np.uint8] | None, language: str) -> Iterator[Block]:
    yield claims_block(why, language)
    yield square_block(why.square, language)
    yield curves_block(why.square, language)
    yield corners_block(why.square, language)
    if why.square.matched:
        yield matched_block(why.square, why.square.matched, language)
    yield controls_block(why.square, language)
    if why.fields and why.fields.units:
        yield fields_block(why.fields, picture, language)
    yield from _network_blocks(why, patches, language)
    if why.hyperparameters:
        yield hyperparameters_block(why.hyperparameters, language)


def _network_blocks(why: Why, patches: Patches, language: str) -> Iterator[Block]:
    """What was found about the run's own network."""
    if why.translation:
        yield moved_block(why.translation, language)
    if why.certificate:
        yield certificate_block(why.certificate, language)
    if why.equivariance:
        yield equivariance_block(why.equivariance, language)
    if why.surgery:
        yield surgery_block(why.surgery, language)
    if why.price:
        yield price_block(why.price, language)
    if why.detectors:
        yield detectors_block(why.detectors, patches, language)
