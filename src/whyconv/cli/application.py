"""The verbs put together, and the one door through which errors leave.

Everything heavy is imported inside the verbs, so that ``--help`` stays quick and the verbs that need no
torch never load it.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, ParamSpec

import typer

from whyconv import __version__
from whyconv.cli.answers import predict
from whyconv.cli.atlas import atlas
from whyconv.cli.evidence import explain
from whyconv.cli.exports import export
from whyconv.cli.inspections import cache, check, doctor
from whyconv.cli.layers import layer
from whyconv.cli.networks import inspect
from whyconv.cli.runs import demo, evaluate, train, why
from whyconv.cli.selftests import selftest
from whyconv.cli.serving import serve
from whyconv.cli.terminal import print_data, print_error
from whyconv.errors import SignalInterrupt, StoppedError, UsageError, WhyconvError, stopped_by
from whyconv.training.stopping import forget_how_to_go_on, how_to_go_on, signals_to_end

P = ParamSpec("P")

# Signals that asked this process to end, and when what they interrupt is interrupted once more.
_heard: list[int] = []
_AGAIN_SECONDS = 4.0

app = typer.Typer(
    name="whyconv",
    help="Makes an image recognizer out of a folder of labelled pictures, and answers: why convolutions?",
    epilog="First steps:  whyconv demo   whyconv check PICTURES   whyconv train PICTURES",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # panels cost a tenth of a second and half of the width
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process with the exit code of the outcome.

    Args:
        arguments: Words after the program's name; those of the process by default.
    """
    # What is imported stays: looking for cycles in it, again and again, is a tenth of the time of a short verb.
    gc.set_threshold(50_000, 10, 10)
    words, has_traceback = _take_traceback(list(sys.argv[1:] if arguments is None else arguments))
    try:
        _hear_signals()
        _prepare_streams()
        _run(words)
    except (Exception, KeyboardInterrupt) as error:
        _be_interrupted_no_more()
        if has_traceback:
            raise
        if arguments is None:
            _let_signals_end_it()
        told = _error_for_people(error)
        print_error(told)
        sys.exit(told.exit_code if isinstance(told, WhyconvError) else 1)
    finally:
        _be_interrupted_no_more()
        _flush()


def _run(words: list[str]) -> None:
    """Runs a verb; a signal that comes before or after it is ours to tell, where typer would leave in silence."""
    _require_words(words)
    try:
        app(args=words, prog_name="whyconv")
    except SystemExit as end:
        interrupt = end.__context__.__cause__ if end.__context__ is not None else None
        if isinstance(interrupt, KeyboardInterrupt):
            raise interrupt from None
        raise


def _require_words(words: list[str]) -> None:
    """Refuses an empty word, which as a path would be the current folder: all of it."""
    end = words.index("--") if "--" in words else len(words)
    for place, (before, word) in enumerate(zip(["whyconv", *words], words, strict=False)):
        option, equals, value = word.partition("=")
        if not word or (place < end and equals and not value and option.startswith("--")):
            raise UsageError(
                f"The word behind {before if not word else option} is empty. Expected a name or a value; is a variable "
                "of the shell not set?"
            )


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print_data(f"whyconv {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error arose.")] = False,
) -> None:
    del version, traceback  # one has ended the program; the other main takes out, wherever it stands


def _stoppable(verb: Callable[P, None]) -> Callable[P, None]:
    """Makes Ctrl-C and other signals that ask to end an error like any other, with an exit code such as 130."""

    @wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            verb(*args, **kwargs)
        except KeyboardInterrupt as error:
            raise _stop_told(error) from error

    return call


for _verb in (
    doctor,
    demo,
    check,
    train,
    evaluate,
    predict,
    explain,
    export,
    serve,
    layer,
    inspect,
    why,
    atlas,
    selftest,
    cache,
):
    app.command()(_stoppable(_verb))


def _take_traceback(words: list[str]) -> tuple[list[str], bool]:
    """Returns the words without ``--traceback``, which may stand anywhere before ``--``, and whether it did."""
    end = words.index("--") if "--" in words else len(words)
    options = [word for word in words[:end] if word != "--traceback"]
    return options + words[end:], len(options) < end


def _hear_signals() -> None:
    _heard.clear()
    forget_how_to_go_on()
    for number in signals_to_end():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)


def _on_signal(number: int, _: object) -> None:
    """Interrupts what is being done, and again where that goes on: code in C swallows an interrupt, now and then."""
    _heard.append(number)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _on_signal)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    raise SignalInterrupt(_heard[0])


def _be_interrupted_no_more() -> None:
    if _heard and hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)


def _error_for_people(error: Exception | KeyboardInterrupt) -> Exception:
    """What happened; after a signal it was that, whatever became of the interrupt in what was being imported."""
    if isinstance(error, KeyboardInterrupt):
        return _stop_told(error)
    if isinstance(error, StoppedError) or not _heard:
        return error
    stop = stopped_by(SignalInterrupt(_heard[0]))
    notes = getattr(error, "__notes__", None) or list(filter(None, [how_to_go_on()]))
    return StoppedError(" ".join([str(stop), *notes]), exit_code=stop.exit_code)


def _stop_told(interrupt: KeyboardInterrupt) -> StoppedError:
    """What an interrupt amounts to: where a stop is on its way out already that stop, which says how to go on."""
    error: BaseException | None = interrupt
    while error is not None:
        if isinstance(error, StoppedError):
            return error
        error = error.__context__
    stop = stopped_by(interrupt)
    return StoppedError(f"{stop} {how_to_go_on()}".rstrip(), exit_code=stop.exit_code)


def _let_signals_end_it() -> None:
    """From here on there is nothing left to do in good order: another Ctrl-C ends the process without a word."""
    for number in signals_to_end():
        signal.signal(number, signal.SIG_DFL)


def _prepare_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    _fill_closed_streams()


def _fill_closed_streams() -> None:
    """Gives a stream that was closed (``>&-``) to nothing: else the next file that is opened would be that stream."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _flush() -> None:
    """Writes out what is left; where the reader has gone (``| head``), that is no failure to speak of."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
