"""The atlas as one figure that stands alone: points gained by locality against points gained by sharing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from whyconv.report.charts import Axis, number_text, ticks
from whyconv.report.labels import Box, place_labels
from whyconv.report.names import shown, text_width
from whyconv.results import PLACES, Estimate, Place
from whyconv.results.atlas import Atlas, AtlasSet, EvenSplit, protocol_differences
from whyconv.results.numbers import points_with_ends
from whyconv.texts import say

_WIDTH = 760
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 740.0, 92.0, 560.0
_LETTERS, _SMALL = 13, 12
_LINE = 17
_LONGEST_NAME = 30
_NAMESPACE = Markup(' xmlns="http://www.w3.org/2000/svg"')
# Colors and letters are those of the report's page; where the figure stands alone they travel with it.
_COLORS = """
.atlas { --paper: #ffffff; --ink: #1d2430; --soft: #5b6575; --rule: #dfe3e8; --mark: #8a94a3; --still: #2b6cc4;
  --moved: #c2560c; background: var(--paper); font-variant-numeric: tabular-nums; font-family: system-ui,
  -apple-system, "Segoe UI", "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR", "Noto Sans CJK KR",
  "NanumGothic", "Nanum Gothic", sans-serif; }
@media (prefers-color-scheme: dark) { .atlas { --paper: #1a2028; --ink: #e7ebf0; --soft: #a3aebc; --rule: #323b47;
  --mark: #7d8896; --still: #74a9f5; --moved: #f2a25c; } }"""
_COLORS_OF_PAGE = """
.atlas { --paper: var(--card); --still: var(--first); --moved: var(--second); }"""
# A style in a page is that of the whole page: nothing but this figure may answer to it.
_RULES = """
.atlas text { fill: var(--ink); font-size: 13px; } .atlas .title { font-size: 17px; font-weight: 650; }
.atlas .soft, .atlas .tick { fill: var(--soft); font-size: 12px; }
.atlas .axis-name { fill: var(--soft); font-weight: 600; } .atlas .x { text-anchor: middle; }
.atlas .y { text-anchor: end; } .atlas .grid { stroke: var(--rule); } .atlas .zero { stroke: var(--mark); }
.atlas .even { stroke: var(--mark); stroke-dasharray: 4 4; }
.atlas .link { stroke: var(--mark); stroke-dasharray: 1 3; } .atlas .whisker { stroke-width: 2; opacity: .45; }
.atlas .still { fill: var(--still); stroke: var(--still); }
.atlas .moved { fill: var(--moved); stroke: var(--moved); } .atlas .own { font-weight: 700; }
.atlas .label { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
.atlas .ring { fill: none; stroke: var(--ink); stroke-width: 2; } .atlas .paper { fill: var(--paper); }
"""


class _Dot(NamedTuple):
    """One set in one place, and where it is drawn."""

    name: str
    split: EvenSplit
    is_own: bool
    x: float
    y: float


class _Axes(NamedTuple):
    """Locality from left to right, sharing from bottom to top, in percentage points."""

    locality: Axis
    sharing: Axis

    def x(self, fraction: float) -> float:
        return float(self.locality.place(100 * fraction, _LEFT, _RIGHT))

    def y(self, fraction: float) -> float:
        return float(self.sharing.place(100 * fraction, _BOTTOM, _TOP))


def atlas_figure(atlas: Atlas, language: str, own: AtlasSet | None = None) -> str:
    """Draws every set as two dots, pictures as they are and moved, each with its intervals in both directions.

    Args:
        atlas: At least one set.
        language: "en" or "ko".
        own: A run that is shown among them.

    Returns:
        An SVG document that needs no other file; numbers stand in the titles of its dots.
    """
    return str(_drawn(atlas, language, own, _NAMESPACE, _COLORS) + "\n")


def inline_atlas(atlas: Atlas, language: str, own: AtlasSet) -> Markup:
    """Returns the figure as a part of the report's page, in the page's colors, which darkness and paper change."""
    return _drawn(atlas, language, own, Markup(""), _COLORS_OF_PAGE)


def _drawn(atlas: Atlas, language: str, own: AtlasSet | None, namespace: Markup, colors: str) -> Markup:
    sets = [*atlas.sets, *([own] if own else [])]
    axes = _axes([split for one in sets for split in one.splits], language)
    dots = [_dot(one, place, axes, is_own=one is own) for one in sets for place in PLACES]
    notes = _note_lines(atlas, own, language)
    height = round(_BOTTOM + 64 + _LINE * len(notes) + 10)
    parts = [_heading(language, has_own=own is not None), _frame(axes, language)]
    parts += [_link(first, second) for first, second in zip(dots[::2], dots[1::2], strict=True)]
    parts += [_whiskers(dot, axes) for dot in dots]
    parts += [_mark(dot, language) for dot in dots]
    parts += _labels(dots, axes)
    parts += [
        Markup('<text class="soft" x="{}" y="{}">{}</text>').format(14, f"{_BOTTOM + 64 + _LINE * index:.0f}", line)
        for index, line in enumerate(notes)
    ]
    opening = Markup(
        '<svg{} class="atlas" viewBox="0 0 {} {}" width="{}" height="{}" role="img" lang="{}" aria-label="{}">'
    ).format(namespace, _WIDTH, height, _WIDTH, height, language, _described(sets, language))
    style = Markup("<style>" + colors + _RULES + "</style>")  # noqa: S704
    ground = Markup('<rect class="paper" width="{}" height="{}"/>').format(_WIDTH, height)
    return opening + style + ground + Markup("\n").join(parts) + Markup("</svg>")


def _axes(splits: Sequence[EvenSplit], language: str) -> _Axes:
    found = [
        _axis(say(f"atlas_axis_{name}", language), [getattr(split, name) for split in splits])
        for name in ("locality", "sharing")
    ]
    return _Axes(*found)


def _axis(name: str, estimates: Sequence[Estimate]) -> Axis:
    """From the least to the greatest end of an interval, 0 and at least a point about it included."""
    low, high = min(-0.01, *(one.low for one in estimates)), max(0.01, *(one.high for one in estimates))
    room = 0.06 * (high - low)
    return Axis(name, 100 * (low - room), 100 * (high + room))


def _dot(one: AtlasSet, place: Place, axes: _Axes, *, is_own: bool) -> _Dot:
    split = one.split(place)
    name = shown(one.name, limit=_LONGEST_NAME)
    return _Dot(name, split, is_own, axes.x(split.locality.value), axes.y(split.sharing.value))


def _heading(language: str, *, has_own: bool) -> Markup:
    parts = [Markup('<text class="title" x="14" y="28">{}</text>').format(say("atlas_title", language))]
    x = 22.0
    for place in PLACES:
        name = say(f"atlas_place_{place}", language)
        parts.append(_sign(place, x, 49) + Markup('<text x="{:.0f}" y="53">{}</text>').format(x + 12, name))
        x += 46 + text_width(name, _LETTERS)
    if has_own:
        ring = Markup('<circle class="ring" cx="{:.0f}" cy="49" r="8"/>').format(x)
        name = say("atlas_own", language)
        parts.append(ring + Markup('<text x="{:.0f}" y="53">{}</text>').format(x + 14, name))
    return Markup("").join(parts)


def _frame(axes: _Axes, language: str) -> Markup:
    parts = []
    for value in ticks(axes.locality.low, axes.locality.high, 10):
        x = f"{axes.x(value / 100):.1f}"
        line = Markup(
            '<line class="{}" x1="{x}" x2="{x}" y1="{}" y2="{}"/><text class="tick x" x="{x}" y="{}">{}</text>'
        )
        style = "grid" if value else "zero"
        parts.append(line.format(style, _TOP, _BOTTOM, _BOTTOM + 17, number_text(value), x=x))
    for value in ticks(axes.sharing.low, axes.sharing.high, 10):
        y = f"{axes.y(value / 100):.1f}"
        line = Markup(
            '<line class="{}" x1="{}" x2="{}" y1="{y}" y2="{y}"/><text class="tick y" x="{}" y="{}">{}</text>'
        )
        style = "grid" if value else "zero"
        text_y = f"{float(y) + 4:.1f}"
        parts.append(line.format(style, _LEFT, _RIGHT, _LEFT - 7, text_y, number_text(value), y=y))
    name = Markup('<text class="axis-name{}" x="{}" y="{}">{}</text>')
    parts.append(name.format("", 14, _TOP - 14, axes.sharing.name))
    parts.append(name.format(" y", _RIGHT, _BOTTOM + 38, axes.locality.name))
    return Markup("").join([*parts, _even_line(axes, language)])


def _even_line(axes: _Axes, language: str) -> Markup:
    """Where locality and sharing add up to nothing: below it the convolution loses."""
    low = max(axes.locality.low, -axes.sharing.high) / 100
    high = min(axes.locality.high, -axes.sharing.low) / 100
    line = Markup('<line class="even" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"><title>{}</title></line>')
    return line.format(axes.x(low), axes.y(-low), axes.x(high), axes.y(-high), say("atlas_even", language))


def _link(first: _Dot, second: _Dot) -> Markup:
    line = Markup('<line class="link" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    return line.format(first.x, first.y, second.x, second.y)


def _whiskers(dot: _Dot, axes: _Axes) -> Markup:
    line = Markup('<line class="whisker {}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    split = dot.split
    across = line.format(split.place, axes.x(split.locality.low), dot.y, axes.x(split.locality.high), dot.y)
    return across + line.format(split.place, dot.x, axes.y(split.sharing.low), dot.x, axes.y(split.sharing.high))


def _mark(dot: _Dot, language: str) -> Markup:
    ring = Markup('<circle class="ring" cx="{:.1f}" cy="{:.1f}" r="9"/>').format(dot.x, dot.y) if dot.is_own else ""
    title = Markup("<title>{}</title>").format(_told(dot.name, dot.split, language))
    return Markup("<g>") + title + ring + _sign(dot.split.place, dot.x, dot.y) + Markup("</g>")


def _sign(place: Place, x: float, y: float) -> Markup:
    """A disk for pictures as they are, a diamond for moved ones: told apart without color too."""
    if place == "still":
        return Markup('<circle class="still" cx="{:.1f}" cy="{:.1f}" r="5"/>').format(x, y)
    corners = f"{x:.1f},{y - 6:.1f} {x + 6:.1f},{y:.1f} {x:.1f},{y + 6:.1f} {x - 6:.1f},{y:.1f}"
    return Markup('<polygon class="moved" points="{}"/>').format(corners)


def _labels(dots: Sequence[_Dot], axes: _Axes) -> list[Markup]:
    frame = Box(_LEFT, _TOP, _RIGHT, _BOTTOM)
    lines = [box for dot in dots for box in _whisker_boxes(dot, axes)]
    boxes = place_labels([(dot.x, dot.y, dot.name) for dot in dots], frame, _LETTERS, lines)
    text = Markup('<text class="label{} x" x="{:.1f}" y="{:.1f}">{}</text>')
    return [
        text.format(" own" if dot.is_own else "", (box.left + box.right) / 2, box.bottom - 4, dot.name)
        for dot, box in zip(dots, boxes, strict=True)
    ]


def _whisker_boxes(dot: _Dot, axes: _Axes) -> tuple[Box, Box]:
    split = dot.split
    return (
        Box(axes.x(split.locality.low), dot.y - 2, axes.x(split.locality.high), dot.y + 2),
        Box(dot.x - 2, axes.y(split.sharing.high), dot.x + 2, axes.y(split.sharing.low)),
    )


def _told(name: str, split: EvenSplit, language: str) -> str:
    values = {part: points_with_ends(getattr(split, part)) for part in ("locality", "sharing", "gain")}
    place = say(f"atlas_place_{split.place}", language)
    return say("atlas_dot", language, name=name, place=place, **values)


def _described(sets: Sequence[AtlasSet], language: str) -> str:
    told = [_told(shown(one.name), split, language) for one in sets for split in one.splits]
    return " ".join([say("atlas_title", language), *told])


def _note_lines(atlas: Atlas, own: AtlasSet | None, language: str) -> list[str]:
    """What the axes mean, how each set was measured, and how the run differs from them; wrapped."""
    sets = [*atlas.sets, *([own] if own else [])]
    draws = sets[0].protocol.num_draws
    notes = [say("atlas_meaning", language), say("atlas_intervals", language, draws=draws)]
    notes += [set_note(one, language) for one in sets]
    if coarse := [shown(one.name, _LONGEST_NAME) for one in sets if one.is_coarse]:
        notes.append(say("atlas_coarse", language, names=", ".join(coarse)))
    if unlearned := [shown(one.name, _LONGEST_NAME) for one in sets if not one.has_learned]:
        notes.append(say("atlas_unlearned", language, names=", ".join(unlearned)))
    notes += [say("atlas_skipped_short", language, name=shown(one.name, _LONGEST_NAME)) for one in atlas.skipped]
    notes += difference_notes(atlas, own, language) if own else []
    return [line for note in notes for line in _wrapped(note, _WIDTH - 28)]


def set_note(one: AtlasSet, language: str) -> str:
    """How one set was measured, in a sentence."""
    return say(
        "atlas_set_note",
        language,
        name=shown(one.name, _LONGEST_NAME),
        side=one.protocol.side,
        channels=one.protocol.channels,
        classes=one.num_classes,
        n=one.n_train,
        test=one.num_test,
        chance=one.largest_class_fraction,
        steps=one.protocol.most_steps,
        settings=one.num_settings,
    )


def difference_notes(atlas: Atlas, own: AtlasSet, language: str) -> list[str]:
    """In what the protocol of a run differs from that of each set; one sentence where it differs in nothing."""
    notes = []
    for one in atlas.sets:
        found = [
            say(f"atlas_differs_{name}", language, own=values[0], other=values[1])
            for name, values in protocol_differences(own, one).items()
        ]
        if found:
            name = shown(one.name, _LONGEST_NAME)
            notes.append(say("atlas_differs", language, name=name, found=", ".join(found)))
    own_name = shown(own.name, _LONGEST_NAME)
    return [say("atlas_differs_head", language, own=own_name), *notes] if notes else [say("atlas_alike", language)]


def _wrapped(text: str, width: float) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if line and text_width(longer, _SMALL) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]
