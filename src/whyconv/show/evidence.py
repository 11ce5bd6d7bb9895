"""Evidence as lines: the answer, the map as numbers, what it means, the nearest training pictures."""

from __future__ import annotations

from whyconv.results.evidence import Evidence, EvidenceMap
from whyconv.results.evidence_notes import asked_note, map_notes, nearest_note
from whyconv.show.text import printable, sentence, table, wrap
from whyconv.texts import say


def evidence_lines(evidence: Evidence, language: str = "en") -> list[str]:
    """Returns what an answer rests on, for a terminal."""
    name = printable(evidence.picture) or say("evidence_picture", language)
    lines = [f"{name}   {printable(evidence.answer)} {evidence.answer_probability:.2f}"]
    if (asked := asked_note(evidence)) is not None:
        lines += wrap(sentence(asked, language), "  ")
    first, *rest = (sentence(note, language) for note in map_notes(evidence))
    lines += ["", *wrap(first, ""), *_map_rows(evidence.map)]
    for text in rest:
        lines += wrap(text, "  ")
    return [*lines, "", *_nearest_lines(evidence, language)] if evidence.tells_nearest else lines


def _map_rows(found: EvidenceMap) -> list[str]:
    """The values: parts of the logit, or percentage points; what is next to nothing is 0 without a minus."""
    if found.kind == "occlusion":
        return table([[f"{round(100 * value, 1) + 0.0:+6.1f}" for value in row] for row in found.values])
    return table([[f"{round(value, 3) + 0.0:+7.3f}" for value in row] for row in found.values])


def _nearest_lines(evidence: Evidence, language: str) -> list[str]:
    lines = wrap(sentence(nearest_note(evidence), language), "")
    if not evidence.nearest:
        return lines
    unknown = say("evidence_no_label", language)
    rows = [
        (f"{one.distance:.3f}", unknown if one.label is None else printable(one.label), printable(one.path or ""))
        for one in evidence.nearest
    ]
    lines += [line.rstrip() for line in table(rows)]
    has_labels = all(one.label is not None for one in evidence.nearest)
    return lines if has_labels else [*lines, *wrap(say("evidence_no_labels", language), "  ")]
