"""A look at pictures before anything is trained on them: read, decode once, find copies, say what is wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whyconv.errors import UsageError
from whyconv.images import check as findings
from whyconv.images import duplicates as copies
from whyconv.images.duplicates import Duplicates
from whyconv.images.shards import are_shards
from whyconv.images.sources import Pictures, read_pictures
from whyconv.images.sources.listing import printable
from whyconv.images.survey import Survey, survey
from whyconv.results import CheckReport, Notify, ignore


@dataclass(frozen=True, eq=False)
class Inspection:
    """All that is known about pictures before training.

    Attributes:
        pictures: As they were read.
        survey: What decoding each of them showed.
        duplicates: Which of them show the same thing.
        report: The findings.
    """

    pictures: Pictures
    survey: Survey
    duplicates: Duplicates
    report: CheckReport


def check(
    where: str | os.PathLike[str],
    *,
    layout: str = "auto",
    label_from: str | None = None,
    group_by: str | None = None,
    store: str | os.PathLike[str] | None = None,
    notify: Notify = ignore,
) -> CheckReport:
    """Looks at labelled pictures: what is there, what cannot be read, what would mislead a training.

    Args:
        where: A folder, an archive of one, a labels file or table, or a file of arrays.
        layout: "auto", or the reading to take: "folders", "splits", "table", "arrays" or "webdataset".
        label_from: Regular expression on the names, whose first group is the label.
        group_by: Regular expression on the names, or a column: pictures that share it stay together.
        store: Folder where what was found about each file is kept for the next time.
        notify: Told of progress.

    Returns:
        The findings; printing them prints a table. All counts are exact.

    Raises:
        UsageError: ``layout`` or a regular expression is wrong, or shards were named.
        DataError: There is nothing to read, or it cannot be read without guessing.
    """
    kept = None if store is None else Path(store)
    found = inspect(
        os.fspath(where), layout=layout, label_from=label_from, group_by=group_by, store=kept, notify=notify
    )
    return found.report


def inspect(  # noqa: PLR0913
    where: str | Path,
    *,
    layout: str = "auto",
    label_from: str | None = None,
    group_by: str | None = None,
    store: Path | None = None,
    notify: Notify = ignore,
    num_threads: int | None = None,
    keep_all_classes: bool = False,
    classes: Sequence[str] = (),
) -> Inspection:
    """Does what ``check`` does, and returns the material as well, so that training need not look again.

    ``keep_all_classes`` is that of ``read_pictures``: for pictures that are scored and not trained on.
    ``classes`` says how classes of these names are numbered; other names are numbered as they are read.
    """
    if are_shards(os.fspath(where)):
        raise UsageError(
            f"{printable(os.fspath(where))} names shards, which `whyconv train` alone reads, while it learns. Give the "
            "folder they lie in, whose pictures are all looked at."
        )
    begin = time.perf_counter()
    pictures = read_pictures(
        where,
        layout=layout,
        label_from=label_from,
        group_by=group_by,
        keep_all_classes=keep_all_classes,
        store=store,
    ).ordered_as(classes)
    seen = survey(pictures, store=store, notify=notify, num_threads=num_threads)
    found = copies.find(seen, pictures, num_threads=num_threads)
    report = findings.check(pictures, seen, found, seconds=time.perf_counter() - begin)
    return Inspection(pictures, seen, found, report)
