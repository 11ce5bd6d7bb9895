"""Words -> calls: the command line, and the only module that prints.

Text for people goes to stderr, data to stdout. Everything heavy is imported inside the verbs, so that
``--help`` stays quick and the verbs that need no torch never load it.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from whyconv import __version__, texts
from whyconv.errors import StoppedError, UsageError, WhyconvError, needing_extra

if TYPE_CHECKING:
    from whyconv.progress import Listener
    from whyconv.results import Prediction, RunSummary

app = typer.Typer(
    name="whyconv",
    help="Makes an image recognizer out of a folder of labelled pictures, and answers: why convolutions?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # panels cost a tenth of a second and half of the width
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First steps:  whyconv demo   whyconv check PICTURES   whyconv train PICTURES",
)

P = ParamSpec("P")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Lang = Annotated[str | None, typer.Option("--lang", metavar="en|ko", help="Language; that of the system by default.")]
Layout = Annotated[str, typer.Option(help="How the folder is to be read, where two readings are possible.")]
LabelFrom = Annotated[str | None, typer.Option(metavar="REGEX", help="Take the label from the file name: group 1.")]
GroupBy = Annotated[
    str | None, typer.Option(metavar="REGEX|COLUMN", help="Pictures that agree in this stay together in a split.")
]
Store = Annotated[str | None, typer.Option(metavar="DIR", help="Folder for decoded pictures.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process with the exit code of the outcome."""
    arguments, has_traceback = _take_traceback(list(sys.argv[1:] if arguments is None else arguments))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        app(args=arguments, prog_name="whyconv")
    except BrokenPipeError:
        _drop_stdout()
        sys.exit(1)
    except Exception as error:  # the last door: nothing leaves as a stack trace unless it is asked for
        if has_traceback:
            raise
        _print_error(error)
        sys.exit(error.exit_code if isinstance(error, WhyconvError) else 1)


def _verb(function: Callable[P, None]) -> Callable[P, None]:
    """Registers a verb; Ctrl-C ends it with exit code 130."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except KeyboardInterrupt as error:
            raise StoppedError("Stopped by Ctrl-C.") from error

    return app.command()(call)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error arose.")] = False,
) -> None:
    del traceback  # taken out by main, which accepts it after the verb as well
    if version:
        _data(f"whyconv {__version__}")
        raise typer.Exit


@_verb
def doctor(as_json: Json = False, lang: Lang = None) -> None:
    """See what is installed and what to do next."""
    from whyconv.doctor import diagnose, diagnosis_lines
    from whyconv.images.cache import default_folder

    diagnosis = diagnose(default_folder())
    if as_json:
        _data(diagnosis.model_dump_json())
    _people(diagnosis_lines(diagnosis, texts.language(lang)))
    if diagnosis.missing:
        raise typer.Exit(1)


@_verb
def demo(
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder for the run.")] = "runs",
    seed: Annotated[int | None, typer.Option(help="Of the split, the weights and the order.")] = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Train on handwritten digits in a minute.

    The 1,797 digits of scikit-learn are written to demo-digits/ as PNG files in class folders, so that the
    other verbs have something to be tried on.
    """
    with needing_extra("The demo", "train"):
        from whyconv.demo import write_digits
    language = texts.language(lang)
    folder = write_digits(Path("demo-digits"))
    count = sum(1 for _ in folder.rglob("*.png"))
    _people([texts.say("demo_written", language, n=count, folder=str(folder))])
    _train({"pictures": str(folder), "out": out, "seed": seed}, language, as_json)


@_verb
def check(  # noqa: PLR0913, PLR0917
    pictures: Annotated[str, typer.Argument(help="A folder of class folders, a labels file, an .npz or .h5 file.")],
    layout: Layout = "auto",
    label_from: LabelFrom = None,
    group_by: GroupBy = None,
    store: Store = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Look at pictures before training.

    Says what is there, what cannot be read, and what would mislead: copies, copies across a split, one
    picture under two labels, classes that are small or missing.
    """
    from whyconv.inspection import check as look
    from whyconv.show import check_lines

    language = texts.language(lang)
    with _listening(language) as notify:
        report = look(
            pictures,
            layout=layout,
            label_from=label_from,
            group_by=group_by,
            store=Path(store) if store else None,
            notify=notify,
        )
    if as_json:
        _data(report.model_dump_json())
    else:
        _people(check_lines(report, language))


@_verb
def train(  # noqa: PLR0913, PLR0917
    pictures: Annotated[str | None, typer.Argument(help="As for `whyconv check`.", show_default=False)] = None,
    config: Annotated[Path | None, typer.Option(metavar="RUN.TOML", help="Train by the plan in this file.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None,
    network: Annotated[str | None, typer.Option(help="plain, lesson, or your own as package.module:callable.")] = None,
    optimizer: Annotated[str | None, typer.Option(metavar="gd|momentum|rmsprop|adam|adamw")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the pictures.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Time that the training may take.")] = None,
    size: Annotated[int | None, typer.Option(help="Side in pixels of what the network sees.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pictures per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Length of a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the split, the weights and the order.")] = None,
    balance: Annotated[str | None, typer.Option(metavar="auto|none|weights", help="Small classes count more.")] = None,
    flips: Annotated[str | None, typer.Option(metavar="auto|on|off", help="Mirror pictures while training.")] = None,
    layout: Annotated[str | None, typer.Option(help="How the folder is to be read.")] = None,
    label_from: LabelFrom = None,
    group_by: GroupBy = None,
    strict: Annotated[bool | None, typer.Option("--strict", help="Stop at the first unreadable file.")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor cores to use.")] = None,
    store: Store = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Folder for the run.  [default: runs]")] = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Train a recognizer.

    What is not asked for follows from the pictures by stated rules. Ctrl-C saves; --resume goes on.
    """
    given = {name: value for name, value in locals().items() if name not in _NOT_SETTINGS and value is not None}
    sources = [pictures is not None, config is not None, resume is not None]
    if sum(sources) != 1:
        raise UsageError("Expected one of: whyconv train PICTURES, --config RUN.TOML, or --resume RUN.")
    language = texts.language(lang)
    if config is None and resume is None:
        _train(given, language, as_json)
        return
    allowed = {"epochs"} if resume else set()
    if others := given.keys() - allowed:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(others))
        raise UsageError(
            f"{flags} cannot be changed with {'--resume' if resume else '--config'}: the plan is in run.toml."
        )
    with needing_extra("Training", "train"):
        from whyconv import workflow
    with _listening(language) as notify:
        if resume is not None:
            summary = workflow.resume(resume, notify, epochs=epochs)
        else:
            summary = workflow.train_from_file(config, notify)
    _show_run(summary, language, as_json)


@_verb
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    pictures: Annotated[
        str | None, typer.Argument(help="Labelled pictures; the run's own test part by default.")
    ] = None,
    layout: Layout = "auto",
    label_from: LabelFrom = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Score a run on labelled pictures.

    Every accuracy comes with its 95 % interval, and beside it what guessing the largest class would give.
    """
    with needing_extra("Evaluating", "train"):
        from whyconv import workflow
    language = texts.language(lang)
    with _listening(language) as notify:
        summary = workflow.evaluate(run, pictures, notify, layout=layout, label_from=label_from, language=language)
    _show_run(summary, language, as_json)


@_verb
def predict(  # noqa: PLR0913, PLR0917
    model: Annotated[Path, typer.Argument(metavar="RUN|FILE.onnx", help="A run folder or an exported file.")],
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    top: Annotated[int, typer.Option(min=1, help="How many labels for each picture.")] = 3,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write .csv, .jsonl or .parquet instead.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at once.")] = 32,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line on stdout.")] = False,
    lang: Lang = None,
) -> None:
    """Name what pictures show.

    Takes any number of files and folders. A file that cannot be read gets a row with the reason; the exit
    code is then 3.
    """
    from whyconv.images.sources import list_images
    from whyconv.recognizer import load_file, open_recognizer

    language = texts.language(lang)
    recognizer = open_recognizer(model)
    top = min(top, len(recognizer.classes))
    items = ((str(path), partial(load_file, path)) for path in list_images(paths))
    predictions = recognizer.stream(items, batch_size=batch, top=max(top, 2))
    with _writing_predictions(to, top, as_json) as write:
        total, unread = _write_all(predictions, write)
    if to is not None:
        _people([texts.say("predict_written", language, n=total, path=str(to))])
    if total == 0:
        _people([texts.say("predict_none", language, paths=", ".join(map(str, paths)))])
    if unread:
        _people([texts.say("predict_unread", language, n=unread, total=total)])
        raise typer.Exit(3)


@_verb
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove them; they can be made again.")] = False,
    store: Store = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """List or remove stores of decoded pictures."""
    from whyconv.images.cache import default_folder, list_stores, remove_stores
    from whyconv.show import printable, size

    language = texts.language(lang)
    folder = Path(store) if store else default_folder()
    entries = remove_stores(folder) if clear else list_stores(folder)
    if as_json:
        stores = [
            {"path": str(one.path), "kind": one.kind, "where": one.where, "bytes": one.num_bytes} for one in entries
        ]
        _data(json.dumps({"folder": str(folder), "is_cleared": clear, "stores": stores}))
    total = size(sum(one.num_bytes for one in entries))
    head = "cache_cleared" if clear else "cache_head"
    lines = [texts.say(head, language, n=len(entries), size=total, folder=printable(str(folder)))]
    lines += [f"  {size(one.num_bytes):>9}  {one.kind:<7}  {printable(one.where)}" for one in entries]
    if entries and not clear:
        lines.append(texts.say("cache_next", language))
    _people(lines)


_NOT_SETTINGS = ("config", "resume", "as_json", "lang")


def _train(given: dict[str, Any], language: str, as_json: bool) -> None:
    with needing_extra("Training", "train"):
        from whyconv import workflow
    from whyconv.settings import TrainSettings

    wanted = {name: value for name, value in given.items() if value is not None}
    settings = TrainSettings(**wanted, language=language)
    with _listening(language) as notify:
        summary = workflow.train(settings, notify)
    _show_run(summary, language, as_json)


def _show_run(summary: RunSummary, language: str, as_json: bool) -> None:
    from whyconv.show import run_lines, run_values

    if as_json:
        _data(json.dumps(run_values(summary)))
    _people(run_lines(summary, language))


@contextmanager
def _writing_predictions(to: Path | None, top: int, as_json: bool) -> Iterator[Callable[[Prediction], None]]:
    from whyconv.predictions import as_json as row_as_json
    from whyconv.predictions import writing_predictions
    from whyconv.show import prediction_line

    if to is not None:
        with writing_predictions(to, top) as write:
            yield write
    elif as_json:
        yield lambda prediction: _data(row_as_json(prediction, top))
    else:
        yield lambda prediction: _data(prediction_line(prediction, top))


def _write_all(predictions: Iterable[Prediction], write: Callable[[Prediction], None]) -> tuple[int, int]:
    """Returns how many predictions were written, and how many of them are errors."""
    total = unread = 0
    for prediction in predictions:
        write(prediction)
        total += 1
        unread += prediction.error is not None
    return total, unread


@contextmanager
def _listening(language: str) -> Iterator[Listener]:
    """Shows events on stderr while the block runs: bars on a terminal, plain lines otherwise."""
    from rich.console import Console

    from whyconv.progress import Listener, has_bars

    console = Console(stderr=True)
    with Listener(console, language, bars=has_bars(console)) as listener:
        yield listener


def _people(lines: Iterable[str]) -> None:
    """Prints text for people."""
    for line in lines:
        print(line, file=sys.stderr)


def _data(line: str) -> None:
    """Prints data."""
    print(line)


def _print_error(error: Exception) -> None:
    from whyconv.show import printable

    is_ours = isinstance(error, WhyconvError)
    text = str(error) if is_ours else f"{type(error).__name__}: {error} (--traceback shows where)"
    _people(printable(line) for line in f"Error: {text}".splitlines())


def _take_traceback(arguments: list[str]) -> tuple[list[str], bool]:
    """Returns the arguments without ``--traceback``, which may stand anywhere before ``--``, and whether it did."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [word for word in arguments[:end] if word != "--traceback"]
    return options + arguments[end:], len(options) < end


def _on_sigterm(*_: object) -> None:
    raise StoppedError("Stopped by SIGTERM.", exit_code=143)


def _drop_stdout() -> None:
    """Points stdout nowhere after its reader has gone, so that closing it at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
