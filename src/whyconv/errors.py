"""The tree of errors.

Text of every error: what is wrong, with the value; what was expected; what to do next.

    WhyconvError                exit code 1
        UsageError              2   a wrong word on the command line, a wrong argument of a function
            SettingsError       2   unknown key, value out of range
            MissingExtraError   2   an optional package is needed: names the install command
        DataError               3   the pictures or labels cannot be used
            PictureError        3   one picture cannot be read
            ArrayError          3   an array given to the estimator has the wrong shape, type or range
        ModelFileError          1   a run folder or an ONNX file cannot be used
            NewerFormatError    1   a newer whyconv wrote it
        StorageError            1   the disk cannot hold what is to be written
        ParityError             4   two ways to the same answer disagree
        StoppedError            130 on Ctrl-C, 143 on SIGTERM, 129 on SIGHUP; the run can go on with --resume
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


class WhyconvError(Exception):
    """Root of all errors that whyconv raises on purpose."""

    exit_code = 1


class UsageError(WhyconvError):
    """What was asked for cannot be done as asked."""

    exit_code = 2


class SettingsError(UsageError, ValueError):
    """One or more settings are unknown or out of range; all of them are named at once."""


class MissingExtraError(UsageError):
    """An optional package is not installed.

    Args:
        what: What needs it, as the start of a sentence: "Reading Parquet".
        extra: Name of the extra that brings it: "tables".
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional package. Install it with:  pip install 'whyconv[{extra}]'")
        self.what, self.extra = what, extra

    def __reduce__(self) -> tuple[Callable[[str, str], MissingExtraError], tuple[str, str]]:
        return type(self), (self.what, self.extra)


@contextmanager
def needing_extra(what: str, extra: str) -> Iterator[None]:
    """Turns a failed import of an optional package inside the block into a MissingExtraError that names it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "whyconv":
            raise
        raise MissingExtraError(what, extra) from error


class DataError(WhyconvError):
    """The pictures or their labels cannot be used."""

    exit_code = 3


class PictureError(DataError):
    """One picture cannot be read; its text is the reason, without the path."""


class LostProcessError(WhyconvError):
    """Of several processes that train together one is gone, frozen or out of reach."""


class DecodeTimeoutError(PictureError):
    """A picture was not decoded in time; with less other work on the machine it may be."""


class ArrayError(DataError, ValueError):
    """An array given to the estimator has the wrong shape, type or range; scikit-learn expects a ValueError."""


class ModelFileError(WhyconvError):
    """A run folder or an ONNX file is missing, damaged, or not ours."""


class NewerFormatError(ModelFileError):
    """A newer whyconv wrote the file: it is not damaged, and nothing of it is read."""


class StorageError(WhyconvError, OSError):
    """The disk cannot hold what is to be written, or does not take it."""


class DivergedError(WhyconvError):
    """The cost J is no longer a number.

    Args:
        message: At which step, and what to do.
        rows: Training pictures of that step, by their place in the part.
    """

    def __init__(self, message: str, rows: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


class ParityError(WhyconvError):
    """Two ways to the same answer disagree."""

    exit_code = 4


class StoppedError(WhyconvError):
    """Work was stopped from outside and can go on later.

    Args:
        message: What was saved and how to go on.
        exit_code: 128 and the number of the signal: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def require_known_version(version: object, newest: int, where: str) -> None:
    """Makes sure that a file is of a format that this whyconv knows.

    Args:
        version: As the file says; what is no whole number is left to whoever checks the rest.
        newest: That is known.
        where: What the file is called.

    Raises:
        NewerFormatError: It is newer.
    """
    if isinstance(version, int) and version > newest:
        raise NewerFormatError(
            f"{where} has format version {str(version)[:20]}; this whyconv reads up to {newest}. "
            "Update it with:  pip install --upgrade whyconv"
        )


class SignalInterrupt(KeyboardInterrupt):
    """A signal that asks to end, where nothing else waits for it: like Ctrl-C, no ``except Exception`` holds it up.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def stopped_by(interrupt: KeyboardInterrupt) -> StoppedError:
    """The error that a Ctrl-C, or another signal that asks to end, amounts to."""
    number = interrupt.number if isinstance(interrupt, SignalInterrupt) else signal.SIGINT
    name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    return StoppedError(f"Stopped by {name}.", exit_code=128 + number)


def let_through(error: BaseException, kind: type[WhyconvError]) -> None:
    """Raises an error of whyconv, such as a stop, or a Ctrl-C that others wrapped into an error of their own.

    Args:
        error: Whatever was met.
        kind: What is raised again; everything else is left to the caller.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, kind | KeyboardInterrupt):
            raise cause
        cause = cause.__cause__ or cause.__context__


def nearest(name: str, options: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the option nearest to ``name``, or "" where none is near."""
    close = difflib.get_close_matches(name, list(options), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
