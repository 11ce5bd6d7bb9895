"""Shards to a stream: what is learned from them, and a sample of files for all that is looked at more than once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from whyconv.errors import DataError, UsageError
from whyconv.images.prepare import PicturePolicy
from whyconv.images.shards import Sample, Shards, are_shards, draw_sample, open_shards
from whyconv.images.shards.sample import write_sample
from whyconv.images.sources.file_parts import file_part_notes
from whyconv.images.sources.labels import TEST, TRAIN, VALIDATION
from whyconv.images.sources.listing import PART_NAMES, printable
from whyconv.results import Event, Note, Notify
from whyconv.settings import PRETRAINED, SCRATCH, Plan, StreamPlan, TrainSettings
from whyconv.texts import as_typed
from whyconv.training.mixing import mixing
from whyconv.training.pictures import Division
from whyconv.training.start_weights import find_start_weights
from whyconv.training.streamed import MOST_OF_AN_EPOCH, Stream, window_for

SAMPLE = "sample"
_USUAL_FRACTION = 0.15
# What the division of the sample says, and of which parts nothing that was drawn can be used then.
_CARVED: dict[str, tuple[int, ...]] = {
    "split_kept": (),
    "split_validation_carved": (VALIDATION,),
    "split_test_carved": (TEST,),
    "split_both_carved": (VALIDATION, TEST),
}
# Times the variance of a full shuffle, from which on it is worth a word.
_POORLY_MIXED = 1.5


@dataclass(frozen=True, eq=False)
class Drawn:
    """Shards, and the pictures drawn from them.

    Attributes:
        shards: Listed.
        sample: Which were drawn.
        block: Neighboring pictures that are read together.
        validation_fraction: That was asked for.
        test_fraction: The same.
    """

    shards: Shards
    sample: Sample
    block: int
    validation_fraction: float
    test_fraction: float

    def tells(self, notify: Notify) -> Notify:
        """What is told of the division of the sample: not whose it is, but what stands in for an empty part."""

        def tell(event: Event) -> None:
            if not isinstance(event, Note) or event.key not in _CARVED:
                notify(event)
                return
            for part in sorted({*_CARVED[event.key], *self.sample.stood_in_for}):
                if (count := event.values[f"num_{PART_NAMES[part]}"]) != "0":
                    values = {"part": PART_NAMES[part], "n": count}
                    notify(Note(key="stream_part_stood_in_for", values=values, level="warning"))

        return tell

    def stream(self, division: Division, policy: PicturePolicy, seed: int, asked: StreamPlan | None = None) -> Stream:
        """All that is learned from.

        Args:
            division: Of the sample.
            policy: How pictures are prepared.
            seed: Of the order.
            asked: How it was cut before; None: as fits.

        Raises:
            DataError: Too few pictures are left to learn from.
        """
        pictures, survey = division.inspection.pictures, division.inspection.survey
        if tuple(pictures.classes) != self.shards.classes:
            raise DataError(
                f"{printable(self.shards.asked)}: the sample has {len(pictures.classes)} of {len(self.shards.classes)} "
                "classes: all pictures of the others that were drawn cannot be read."
            )
        # Also what the division took from the sample's training pictures, where it found none of a part.
        is_held = np.isin(pictures.parts, (VALIDATION, TEST)) | np.isin(division.parts, (VALIDATION, TEST))
        rows = np.flatnonzero(is_held).tolist()
        held = {survey.digests[row].tobytes() for row in rows}
        left_out = self.sample.left_out(self.shards, (pictures.names[row] for row in rows))
        blocks = self.shards.blocks(self.block, left_out)
        if (count := int(blocks.count.sum())) < 2:
            raise DataError(f"{printable(self.shards.asked)}: fewer than 2 pictures are left to learn from.")
        plan = asked or StreamPlan(
            shards=self.shards.asked,
            digest=self.shards.digest,
            listed=self.shards.listed,
            epoch_pictures=min(count, MOST_OF_AN_EPOCH),
            block=self.block,
            window=window_for(policy),
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
        )
        return Stream(self.shards, blocks, left_out, frozenset(held), policy, seed, plan)


def begin_stream(settings: TrainSettings, folder: Path, notify: Notify) -> tuple[TrainSettings, Drawn | None]:
    """Lists the shards that were asked for, and writes a sample of them into the run folder.

    Returns:
        The settings with that sample for pictures, and what it was drawn from; or the same settings and None, where no
        shards were asked for.

    Raises:
        UsageError: Something was asked for that is not done on shards, or starting weights are a pickle.
        ModelFileError: There are no such weights.
        DataError: The shards cannot be used.
    """
    if not are_shards(settings.pictures):
        return settings, None
    _refuse(settings)
    start = SCRATCH if settings.start in (None, SCRATCH) else str(find_start_weights(settings.start))
    store = Path(settings.store) if settings.store else None
    shards = open_shards(settings.pictures, folder=store, notify=notify)
    validation = _USUAL_FRACTION if settings.validation_fraction is None else settings.validation_fraction
    drawn = _draw(shards, settings.seed, shards.block_size(), validation, settings.test_fraction)
    values = {
        "shards": shards.num_shards,
        "n": int(shards.counts.sum()),
        "classes": len(shards.classes),
        "num_bytes": shards.num_bytes,
    }
    notify(Note(key="stream_listed", values=values))
    names = [printable(PurePosixPath(each.place).name) for each in shards.listings]
    of_files = [] if shards.have_row_parts else file_part_notes(names, shards.parts)
    for note in (*of_files, *shards.notes):
        if note.key not in _SAID_OF_SAMPLE:
            notify(note)
    sizes = {name: len(drawn.sample.rows[part]) for name, part in _NAMED.items()}
    write_sample(shards, drawn.sample, folder / SAMPLE, notify)
    notify(Note(key="stream_sample", values={**sizes, "where": str(folder / SAMPLE)}))
    update = {"pictures": str(folder / SAMPLE), "start": start}
    return settings.model_copy(update=update), drawn


# What the sample, which has the same classes, says of itself as soon as it is looked at.
_SAID_OF_SAMPLE = ("classes_differ_by_case", "classes_one_number", "classes_missing_in_part")
_NAMED = {"train": TRAIN, "validation": VALIDATION, "test": TEST}


def stream_again(plan: Plan, division: Division, policy: PicturePolicy, notify: Notify) -> Stream | None:
    """The stream of a plan; None where it has none.

    Raises:
        DataError: The shards are not those of the plan.
    """
    asked = plan.stream
    if asked is None:
        return None
    shards = open_shards(asked.shards, folder=Path(plan.pictures.store) if plan.pictures.store else None, notify=notify)
    if shards.digest != asked.digest or asked.listed not in ("", shards.listed):
        raise DataError(
            f"{printable(asked.shards)} are not the shards of the plan: some were added, removed or changed. Put them "
            f"back, or train anew on what is there now:  whyconv train {as_typed(printable(asked.shards))}"
        )
    drawn = _draw(shards, plan.seed, asked.block, asked.validation_fraction, asked.test_fraction)
    # Drawn by their own order, as they were for the plan; learned from by that of the plan.
    ordered = replace(drawn, shards=shards.ordered_as(plan.network.classes))
    return ordered.stream(division, policy, plan.seed, asked)


def tell_order(stream: Stream, batch: int, notify: Notify) -> None:
    """Tells how pictures are shuffled, and how near that comes to a full shuffle."""
    order, found = stream.order(batch), mixing(stream, batch)
    values = {"window": order.window_steps * batch, "blocks": len(stream.blocks)}
    if found is None:
        notify(Note(key="stream_order", values=values))
        return
    measured = {"ratio": found.value, "low": found.low, "high": found.high, "n": found.n}
    notify(Note(key="stream_order_measured", values=values | measured))
    if found.low > _POORLY_MIXED:
        notify(Note(key="stream_order_poor", level="warning"))


def _draw(shards: Shards, seed: int, block: int, validation_fraction: float, test_fraction: float) -> Drawn:
    sample = draw_sample(shards, seed=seed, validation_fraction=validation_fraction, test_fraction=test_fraction)
    return Drawn(shards, sample, block, validation_fraction, test_fraction)


def _refuse(settings: TrainSettings) -> None:
    """Refuses what is not done on shards, all of it at once.

    Raises:
        UsageError: Something of it was asked for.
    """
    asked = {
        "--layout": settings.layout != "auto",
        "--label-from": settings.label_from is not None,
        "--group-by": settings.group_by is not None,
        "--strict": settings.strict,
        f"--start {settings.start}": settings.start is not None and _is_frozen(settings.start),
    }
    words = [word for word, is_asked in asked.items() if is_asked]
    if words:
        raise UsageError(
            f"{', '.join(words)} cannot be had for shards, which are read while the network learns from random "
            "weights. Leave it out, or give a folder, which is read before."
        )


def _is_frozen(start: str) -> bool:
    return start == PRETRAINED or start.lower().endswith(".onnx")
