"""The verb that answers: predict. It needs no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyconv import texts
from whyconv.cli.options import Lang
from whyconv.cli.terminal import listening, print_data, print_json, print_text
from whyconv.errors import UsageError

if TYPE_CHECKING:
    from whyconv.recognizer import Recognizer
    from whyconv.results import Prediction


def predict(  # noqa: PLR0913, PLR0917
    # Where a file may not be read, the row or the error here says so; typer would end all of it.
    model: Annotated[
        Path, typer.Argument(metavar="RUN|FILE.onnx", readable=False, help="A run folder or an exported file.")
    ],
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATHS...", readable=False, help="Pictures, or folders of pictures.")
    ],
    top: Annotated[int, typer.Option(min=1, help="How many labels for each picture.")] = 3,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE|DIR", help="Write .csv, .jsonl or .parquet instead; with --cluster a folder."),
    ] = None,
    sets: Annotated[
        float | None, typer.Option(metavar="LEVEL", help="Also the set of labels that holds the truth so often: 0.95.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at once.")] = 32,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="local|auto|ray://HOST:PORT", help="Answer with Ray, on all processors there are."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line on stdout; with --to one that counts.")
    ] = False,
    lang: Lang = None,
) -> None:
    """Name what pictures show.

    Takes any number of files and folders. A file that cannot be read gets a row with the reason; the exit
    code is then 3. It is 3 too where a path is not there, and then nothing is answered or written. "unsure"
    behind an answer: the picture is unlike those that the recognizer knows.
    With --cluster the rows go into Parquet files in a folder; asked again, what is missing there is added.
    """
    from whyconv.images.sources import list_images
    from whyconv.images.sources.listing import read_file
    from whyconv.recognizer import open_recognizer

    language = texts.language(lang)
    recognizer = open_recognizer(model)
    top = min(top, len(recognizer.classes))
    if to is not None and cluster is None:
        _require_free(to, model, paths)
    if cluster is not None:
        _predict_on_cluster(recognizer, paths, to, cluster, top, sets, batch, as_json, language)
        return
    items = ((str(path), partial(read_file, path)) for path in list_images(paths))
    if sets is not None:
        # Refused before anything is written.
        recognizer.least_probability(sets)
    with _output(to, top, as_json, has_sets=sets is not None) as write:
        # Two labels at least, for the margin between them.
        total, unread = _write_all(recognizer.stream(items, batch_size=batch, top=max(top, 2), sets=sets), write)
    if to is not None and as_json:
        print_json(json.dumps({"to": str(to), "num_pictures": total, "num_unread": unread}))
    _tell(recognizer, paths, to, total, unread, language)


def _require_free(to: Path, model: Path, paths: list[Path]) -> None:
    """Refuses a table in the place of a picture that is asked about, a file of a run, or what is no such table."""
    from whyconv.model_file import require_not_own
    from whyconv.predictions import holds_predictions

    if any(path.exists() and to.exists() and to.samefile(path) for path in paths):
        raise UsageError(f"{to} is one of the pictures that are asked about. Name another file with --to.")
    require_not_own(to, model, "--to")
    if to.is_file() and not holds_predictions(to):
        raise UsageError(
            f"{to} is there and holds no predictions, such as labels of yours. Name another file with --to."
        )


def _predict_on_cluster(  # noqa: PLR0913, PLR0917
    recognizer: Recognizer,
    paths: list[Path],
    to: Path | None,
    cluster: str,
    top: int,
    sets: float | None,
    batch: int,
    as_json: bool,
    language: texts.Language,
) -> None:
    from whyconv.cluster import predict_on_cluster
    from whyconv.predictions import ENDINGS

    if to is None or to.suffix.lower() in ENDINGS:
        raise UsageError(f"--cluster needs a folder for its files. Expected --to FOLDER, not {to or 'nothing'}.")
    with listening(language) as notify:
        found = predict_on_cluster(
            recognizer, paths, to, cluster=cluster, batch=batch, top=top, sets=sets, notify=notify
        )
    if as_json:
        print_json(found.model_dump_json())
    _tell(recognizer, paths, to, found.num_pictures, found.num_unread, language)


def _tell(
    recognizer: Recognizer, paths: list[Path], to: Path | None, total: int, unread: int, language: texts.Language
) -> None:
    """What was written, and what could not be; ends with exit code 3 where pictures could not be read."""
    from whyconv.show.text import printable

    if total and not recognizer.tells_unsure:
        print_text([texts.say("predict_cannot_tell_unsure", language)])
    if total == 0:
        print_text([texts.say("predict_none", language, paths=", ".join(printable(str(path)) for path in paths))])
    if to is not None:
        print_text([texts.say("predict_written", language, n=total, path=printable(str(to)))])
    if unread:
        print_text([texts.say("predict_unread", language, n=unread, total=total)])
        raise typer.Exit(3)


@contextmanager
def _output(to: Path | None, top: int, as_json: bool, *, has_sets: bool) -> Iterator[Callable[[Prediction], None]]:
    """Yields a function that adds one prediction to what was asked for: a table, JSON lines, or lines."""
    from whyconv import predictions
    from whyconv.show.runs import prediction_line

    if to is not None:
        with predictions.writing_predictions(to, top, has_sets=has_sets) as write:
            yield write
    elif as_json:
        yield lambda prediction: print_json(predictions.as_json(prediction, top, has_sets=has_sets))
    else:
        yield lambda prediction: print_data(prediction_line(prediction, top))


def _write_all(answers: Iterable[Prediction], write: Callable[[Prediction], None]) -> tuple[int, int]:
    """Returns how many answers were written, and how many of them are errors."""
    total = unread = 0
    for answer in answers:
        write(answer)
        total += 1
        unread += answer.error is not None
    return total, unread
