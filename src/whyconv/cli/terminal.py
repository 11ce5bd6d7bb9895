"""The two streams: text for people on stderr, data on stdout."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, cast

from whyconv.errors import WhyconvError

if TYPE_CHECKING:
    from whyconv.progress import Listener


def print_data(line: str, *, flush: bool = False) -> None:
    """Prints a line of data; ``flush`` for a reader that waits for it."""
    print(line, flush=flush)


def print_json(text: str, *, flush: bool = False) -> None:
    """Prints JSON as data; names in it cannot steer the terminal, and read back as they are in any encoding."""
    from whyconv.show.text import printable_json

    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print_data(printable_json(text, only_ascii=codecs.lookup(encoding).name != "utf-8"), flush=flush)


def print_text(lines: Iterable[str]) -> None:
    """Prints lines for people; that nobody is there to read them is no failure."""
    with suppress(OSError):
        for line in lines:
            print(line, file=sys.stderr)


def print_error(error: Exception) -> None:
    """Prints what went wrong, without where."""
    from whyconv.show.text import printable

    is_ours = isinstance(error, WhyconvError)
    text = str(error) if is_ours else f"{type(error).__name__}: {error}  (--traceback shows where)"
    print_text(printable(line) for line in f"Error: {text}".splitlines())


class _Lasting:
    """A stream whose reader may go, as a terminal that is closed or ``head`` does; the work goes on without one."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextmanager
def listening(language: str) -> Iterator[Listener]:
    """Shows events on stderr while the block runs: bars on a terminal, plain lines otherwise."""
    from rich.console import Console

    from whyconv.progress import Listener, has_bars

    # None where it was closed; rich knows what to do then.
    file = None if sys.stderr is None else cast("IO[str]", _Lasting(sys.stderr))
    console = Console(file=file, stderr=True)
    with Listener(console, language, bars=has_bars(console)) as listener:
        yield listener
