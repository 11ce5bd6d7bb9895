"""A run of one's own among the sets of an atlas."""

from __future__ import annotations

from pathlib import Path

from whyconv import files
from whyconv.atlas.measuring import FIGURE, RECORD
from whyconv.atlas.one_set import as_set
from whyconv.atlas.places import NamedPlace
from whyconv.errors import UsageError
from whyconv.report import atlas_section, page_language, with_atlas
from whyconv.report.atlas import atlas_figure
from whyconv.results.atlas import Atlas, AtlasSet
from whyconv.results.why import Why
from whyconv.settings import Plan
from whyconv.untrusted import mistakes_in, sound_json_in


def read_atlas(place: Path) -> Atlas:
    """Reads an atlas that was written before.

    Args:
        place: Its folder, or its ``atlas.json``.

    Raises:
        UsageError: There is none, it cannot be read, or it holds no set that was measured.
    """
    path = place / RECORD if place.is_dir() else place
    try:
        atlas = Atlas.model_validate_json(sound_json_in(path))
    except OSError:
        raise UsageError(f"There is no atlas at {path}. Make one with:  whyconv atlas SET ... --out FOLDER") from None
    except ValueError as error:
        raise UsageError(
            f"{path} is no atlas of this version ({mistakes_in(error)}). Make it anew with:  whyconv atlas"
        ) from None
    if not atlas.sets:
        raise UsageError(
            f"{path} holds no set that was measured. Measure some with:  whyconv atlas SET ... --out FOLDER"
        )
    return atlas


def own_set(run: Path, plan: Plan, why: Why) -> AtlasSet:
    """A run's control square as a set of the atlas; ``plan`` is the run's."""
    return as_set(
        NamedPlace(run.resolve().name, plan.pictures.path),
        why.square,
        num_train=plan.pictures.num_train,
        num_classes=len(plan.network.classes),
        seconds=why.square.seconds,
    )


def add_run(run: Path, atlas: Atlas, own: AtlasSet, language: str) -> Path:
    """Draws an atlas with a run added to it into the run folder; the atlas itself stays as it is."""
    path = run / FIGURE
    files.write_text(path, atlas_figure(atlas, language, own))
    return path


def add_to_report(report: Path, atlas: Atlas, own: AtlasSet) -> bool:
    """Puts the same into a run's report, in the report's language.

    Returns:
        Whether it is there now: what is no report, or one of another version, stays as it is.
    """
    try:
        page = report.read_text(encoding="utf-8")
        filled = with_atlas(page, atlas_section(atlas, own, page_language(page)))
    except (OSError, UnicodeDecodeError, LookupError):
        return False
    files.write_text(report, filled)
    return True
