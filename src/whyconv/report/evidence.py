"""What one answer rests on, as a page or a picture that needs nothing else."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from whyconv.files import write_bytes, write_text
from whyconv.report.heat import colors, scale
from whyconv.report.page import environment, speaker
from whyconv.report.pictures import data_uri
from whyconv.results import Note
from whyconv.results.evidence import Evidence, EvidenceMap
from whyconv.results.evidence_notes import asked_note, map_notes, nearest_note

_SIDE = 320
_SCALE_SPACE = 90
# Of the picture under the map, so that colors stand out.
_FADED = 0.45
# In every page, as the template has it, and in every drawing: so that nothing else is written over.
_MAKER = "whyconv explain"
_MARKS = (f'name="generator" content="{_MAKER}"'.encode(), f"tEXtSoftware\0{_MAKER}".encode())
_MARK_BYTES = 2000


def write_evidence_page(path: Path, evidence: Evidence, language: str = "en") -> None:
    """Writes the page, whole or not at all.

    Args:
        path: Where to; an older file there is replaced: ask ``is_evidence`` before.
        evidence: What to say.
        language: "en" or "ko".
    """
    write_text(path, render_evidence(evidence, language))


def write_evidence_drawing(path: Path, evidence: Evidence) -> None:
    """Writes a PNG file without words, whole or not at all."""
    write_bytes(path, draw_evidence(evidence))


def is_evidence(path: Path) -> bool:
    """Whether a file is a page or a drawing of evidence, as these functions write them."""
    with path.open("rb") as file:
        begin = file.read(_MARK_BYTES)
    return any(mark in begin for mark in _MARKS)


def render_evidence(evidence: Evidence, language: str = "en") -> str:
    """Returns a page with the picture, the map over it, what it means, and the nearest training pictures."""
    say = speaker(language, 1000)

    def told(note: Note) -> str:
        return say(note.key, **note.values)

    return (
        environment(say)
        .get_template("evidence.html.j2")
        .render(
            evidence=evidence,
            language=language,
            title=say("evidence_title", label=evidence.label),
            headline=told(asked_note(evidence) or _answer_note(evidence)),
            map_title=say("evidence_map_title"),
            nearest_title=say("evidence_nearest_title"),
            distances=[say("evidence_distance", distance=one.distance) for one in evidence.nearest],
            notes=[told(note) for note in map_notes(evidence)],
            nearest=told(nearest_note(evidence)),
            measured=Markup('<span class="tag estimated">{}</span>').format(say("evidence_measured")),
            seen=_seen(evidence, say("evidence_seen", side=evidence.side)),
            over=_over(evidence, say("evidence_over", label=evidence.label)),
        )
    )


def draw_evidence(evidence: Evidence) -> bytes:
    """Returns a PNG file: the picture as the network sees it, and beside it the map over it."""
    picture = _decoded(evidence.png)
    factor = max(1, round(_SIDE / evidence.side))
    side = factor * evidence.side
    large = picture.resize((side, side), Image.Resampling.NEAREST)
    over = Image.blend(Image.new("RGB", large.size, "white"), large.convert("L").convert("RGB"), _FADED)
    over = Image.alpha_composite(over.convert("RGBA"), _layer(evidence.map, side, factor)).convert("RGB")
    both = Image.new("RGB", (2 * side + factor, side), "white")
    both.paste(large, (0, 0))
    both.paste(over, (side + factor, 0))
    content, made_by = io.BytesIO(), PngImagePlugin.PngInfo()
    made_by.add_text("Software", _MAKER)
    both.save(content, "PNG", optimize=True, pnginfo=made_by)
    return content.getvalue()


def _answer_note(evidence: Evidence) -> Note:
    picture = evidence.picture or Note(key="evidence_picture")
    values = {"picture": picture, "answer": evidence.answer, "probability": evidence.answer_probability}
    return Note(key="evidence_answer", values=values)


def _greatest(found: EvidenceMap) -> float:
    return max(abs(found.low), abs(found.high))


def _colors(found: EvidenceMap) -> NDArray[np.uint8]:
    return colors(np.asarray(found.values, np.float64), _greatest(found))


def _decoded(png: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")


def _layer(found: EvidenceMap, side: int, factor: int) -> Image.Image:
    """The map's colors at its place, transparent around it."""
    top, left, height, width = (round(factor * each) for each in found.box)
    layer = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    layer.paste(Image.fromarray(_colors(found)).resize((width, height), Image.Resampling.NEAREST), (left, top))
    return layer


def _seen(evidence: Evidence, description: str) -> Markup:
    return _drawing(description, _SIDE, _picture(evidence))


def _over(evidence: Evidence, description: str) -> Markup:
    """The picture, faded and gray, the map over it and its scale."""
    found, stretch = evidence.map, _SIDE / evidence.side
    top, left, height, width = (stretch * each for each in found.box)
    parts = [
        _picture(evidence, "pixels faded"),
        # What lies over the borders is cut off.
        Markup('<svg x="0" y="0" width="{s}" height="{s}">{}</svg>').format(
            _image(data_uri(_colors(found)), (left, top, width, height), "pixels over"), s=_SIDE
        ),
        scale(_SIDE + 10, _SIDE - 16, _unit(found) * _greatest(found), has_both=found.low < 0),
    ]
    return _drawing(description, _SIDE + _SCALE_SPACE, Markup("").join(parts))


def _unit(found: EvidenceMap) -> float:
    """Probabilities are shown in percentage points."""
    return 100.0 if found.kind == "occlusion" else 1.0


def _picture(evidence: Evidence, looks: str = "pixels") -> Markup:
    return _image(f"data:image/png;base64,{evidence.png}", (0, 0, _SIDE, _SIDE), looks)


def _image(address: str, place: tuple[float, float, float, float], looks: str = "pixels") -> Markup:
    """A picture at left, top, width, height; ``looks``: names in the style sheet."""
    left, top, width, height = (round(each, 2) for each in place)
    return Markup(
        '<image class="{}" href="{}" x="{x}" y="{y}" width="{w}" height="{h}" preserveAspectRatio="none"/>'
    ).format(looks, address, x=left, y=top, w=width, h=height)


def _drawing(description: str, width: int, content: Markup) -> Markup:
    return Markup(
        '<svg class="matrix" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{}">'
        "<title>{}</title>{}</svg>"
    ).format(description, description, content, w=width, h=_SIDE)
