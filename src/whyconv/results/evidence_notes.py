"""What is said about the evidence for an answer: the same sentences on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Sequence

from whyconv.results.evidence import Evidence, EvidenceMap, PlaceField
from whyconv.results.record import Note

# Below this a change of the probability is called small.
SMALL = 0.01


def asked_note(evidence: Evidence) -> Note | None:
    """That another class than the answer is asked about; None where it is the answer."""
    if evidence.label == evidence.answer:
        return None
    sure = {"probability": evidence.probability, "sure": evidence.answer_probability}
    return Note(key="evidence_asked", values={"label": evidence.label, "answer": evidence.answer, **sure})


def map_notes(evidence: Evidence) -> list[Note]:
    """What the map is, and what it does not say."""
    found = evidence.map
    if found.kind == "occlusion":
        return [_occlusion(found, evidence.label), *_views(found), *_occlusion_limits(found)]
    field = [] if evidence.field is None else _field_notes(evidence.field, evidence.side)
    return [_class_activation(found, evidence.label), *_views(found), *field]


def nearest_note(evidence: Evidence) -> Note:
    """What the nearest pictures are, or why there are none."""
    if evidence.why_no_nearest:
        return Note(key=f"evidence_nearest_{evidence.why_no_nearest}")
    return Note(key="evidence_nearest", values={"n": f"{evidence.num_known:,}"})


def _class_activation(found: EvidenceMap, label: str) -> Note:
    rows, columns = found.shape
    sums = {"bias": found.bias, "logit": found.logit, "difference": found.difference}
    values = {"rows": rows, "columns": columns, "label": label, **sums}
    return Note(key=f"evidence_activation_{found.pooling}", values=values)


def _occlusion(found: EvidenceMap, label: str) -> Note:
    rows, columns = found.shape
    level = found.level or []
    key = "evidence_level_gray" if len(level) == 1 else "evidence_level_color"
    told = Note(key=key, values={"level": ", ".join(map(str, level))})
    sizes = {"rows": rows, "columns": columns, "patch": found.patch, "step": found.step}
    return Note(key="evidence_occlusion", values={"level": told, "label": label, **sizes})


def _views(found: EvidenceMap) -> list[Note]:
    if len(found.views) < 2:
        return []
    key = "evidence_views_activation" if found.kind == "class activation" else "evidence_views_occlusion"
    return [Note(key=key, values={"n": len(found.views), "views": Note(key=f"evidence_views_{_which(found.views)}")})]


def _which(views: Sequence[str]) -> str:
    has_closer = any(view.startswith("closer") for view in views)
    has_mirrored = any(view.endswith("mirrored") for view in views)
    return "all" if has_closer and has_mirrored else "closer" if has_closer else "mirrored"


def _occlusion_limits(found: EvidenceMap) -> list[Note]:
    notes = [Note(key=f"evidence_why_{found.why_occlusion}")] if found.why_occlusion else []
    if max(found.high, -found.low) < SMALL:
        notes.append(Note(key="evidence_occlusion_small", values={"most": 100 * SMALL}))
    return [*notes, Note(key="evidence_occlusion_limits")]


def _field_notes(field: PlaceField, side: int) -> list[Note]:
    row, column = field.place
    if field.reason or len(field.bounds) != 2:
        return [Note(key="evidence_field_unknown", values={"row": row, "column": column, "reason": field.reason})]
    (top, bottom), (left, right) = field.bounds
    counts = {"n": f"{field.num_pixels:,}", "all": f"{side * side:,}", "fraction": field.fraction}
    ends = {"top": top, "bottom": bottom, "left": left, "right": right}
    seen = Note(key="evidence_field", values={"row": row, "column": column, **counts, **ends})
    return [seen, Note(key="evidence_field_closer")] if field.is_closer else [seen]
