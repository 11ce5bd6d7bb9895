"""The verb that tests the study itself on what is known: selftest. It needs torch."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from whyconv import __version__, texts
from whyconv.cli.options import Json, Lang, Seed
from whyconv.cli.terminal import listening, print_json, print_text
from whyconv.errors import UsageError, needing_extra


class Known(StrEnum):
    """What the study can be tested on."""

    THEORY = "theory"


def selftest(
    what: Annotated[Known, typer.Argument(help="theory: four tasks whose answer is known.")] = Known.THEORY,
    minutes: Annotated[
        float | None, typer.Option(help="Time for it on two cores, 3 by default: larger, more seeds.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="The same in seconds.")] = None,
    seed: Seed = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """See whether the study finds what is known.

    Sharing and locality on tasks from the literature: samples needed, borders that give places away, bits in a row.
    Every expectation with what was found and its interval. The exit code is 4 where one that is promised does not hold.
    """
    del what
    if minutes is not None and seconds is not None:
        raise UsageError(f"--minutes {minutes:g} and --seconds {seconds:g}: expected one of them.")
    if seconds is not None and not seconds > 0:
        raise UsageError(f"--seconds {seconds:g}: expected more than 0, such as --seconds 180.")
    asked = minutes if seconds is None else seconds / 60
    language = texts.language(lang)
    with needing_extra("The self-test", "train"):
        from whyconv.machine import set_thread_habits

        set_thread_habits()
        from whyconv.study import theory
    from whyconv.show.theory import theory_lines

    sizes = theory.sizes_for(3.0 if asked is None else asked)
    if asked is not None and asked < sizes.minutes:
        print_text([texts.say("theory_no_time", language, asked=asked, minutes=sizes.minutes)])
    print_text([texts.say("theory_plan", language, steps=theory.num_steps(sizes), minutes=sizes.minutes)])
    with listening(language) as notify:
        found = theory.run_theory(sizes, seed or 0, __version__, notify)
    if as_json:
        print_json(found.model_dump_json())
    print_text(theory_lines(found, language))
    if found.broken():
        raise typer.Exit(4)
