"""The verbs that make and score a run: demo, train, evaluate, why. They need torch."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyconv import texts
from whyconv.cli.options import AllowCode, GroupBy, Json, LabelFrom, Lang, Layout, Out, Seed, Store, allow
from whyconv.cli.terminal import listening, print_json, print_text
from whyconv.errors import UsageError, needing_extra

if TYPE_CHECKING:
    from whyconv.results import RunSummary
    from whyconv.results.atlas import Atlas
    from whyconv.results.why import Why

# Words of `train` that say where the settings come from or how to show the outcome, and are none themselves.
_NOT_SETTINGS = ("config", "resume", "accept_changed_data", "allow_code", "as_json", "lang")


def demo(out: Out = None, seed: Seed = None, as_json: Json = False, lang: Lang = None) -> None:
    """Train on handwritten digits in a minute.

    The 1,797 digits of scikit-learn are written to demo-digits/ as PNG files in class folders, so that the
    other verbs have something to be tried on. At the end stands the short form of `whyconv why`.
    """
    with needing_extra("The demo", "train"):
        from whyconv.demo import write_digits
    language = texts.language(lang)
    folder = write_digits(Path("demo-digits"))
    count = sum(1 for _ in folder.rglob("*.png"))
    print_text([texts.say("demo_written", language, n=count, folder=str(folder))])
    summary = _train({"pictures": str(folder), "out": out, "seed": seed}, language)
    explained = _why(Path(summary.run), language, {"quick": True})
    _show(summary, language, as_json, explained=explained)


def train(  # noqa: PLR0913, PLR0917
    pictures: Annotated[
        str | None,
        typer.Argument(help="As for `whyconv check`; or shards, by a pattern in quotes or a URL.", show_default=False),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="RUN.TOML", help="Train by the plan in this file.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None,
    network: Annotated[
        str | None,
        typer.Option(help="swift, plain, lesson, resnet18 and others, or your own as package.module:callable."),
    ] = None,
    members: Annotated[
        int | None, typer.Option(help="Networks from other random starts that answer together; 1.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="pretrained|scratch|FILE",
            help="Start from published weights, random ones, .safetensors, or features of an .onnx network.",
        ),
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(metavar="NAME", help="gd, momentum, rmsprop, adam, adamw or muon.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the pictures.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time for the whole command, reading and scoring included.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side in pixels of what the network sees.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pictures per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Length of a step.")] = None,
    seed: Seed = None,
    balance: Annotated[str | None, typer.Option(metavar="auto|on|off", help="Small classes count alike.")] = None,
    flips: Annotated[str | None, typer.Option(metavar="auto|on|off", help="Mirror pictures while training.")] = None,
    invariant: Annotated[
        str | None,
        typer.Option(
            metavar="circular|realistic",
            help="Answers that moves do not change: circular ones, certified; realistic ones less, by windows.",
        ),
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="auto|off", help="Try settings in minutes that training has no use for.")
    ] = None,
    on_divergence: Annotated[
        str | None, typer.Option(metavar="stop|skip", help="A step whose cost J is no number ends it, or is left out.")
    ] = None,
    layout: Layout = None,
    label_from: LabelFrom = None,
    group_by: GroupBy = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first unreadable file.")] = False,
    validation_fraction: Annotated[
        float | None, typer.Option(help="Part that decides what is kept; 0.15, at most 2,000 pictures.")
    ] = None,
    test_fraction: Annotated[float | None, typer.Option(help="Part that is kept for the score; 0.15.")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Processor threads; 1 for sides up to 16, else all cores.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="auto|cpu|cuda", help="What trains; auto takes an NVIDIA card where torch can use one."),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Tell how near reading, steps and epochs come to what the machine can do.")
    ] = False,
    accept_changed_data: Annotated[
        bool, typer.Option("--accept-changed-data", help="With --config: on the pictures as they are now.")
    ] = False,
    store: Store = None,
    out: Out = None,
    allow_code: AllowCode = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Train a recognizer.

    What is not asked for follows from the pictures by stated rules. Ctrl-C saves; --resume goes on.
    """
    given = {
        name: value
        for name, value in locals().items()
        if name not in _NOT_SETTINGS and value is not None and value is not False
    }
    if sum(word is not None for word in (pictures, config, resume)) != 1:
        raise UsageError("Expected one of: whyconv train PICTURES, --config RUN.TOML, --resume RUN.")
    if accept_changed_data and config is None:
        raise UsageError(
            "--accept-changed-data goes with --config RUN.TOML: a run goes on with the pictures that it was begun with."
        )
    language = texts.language(lang)
    with needing_extra("Training", "train"):
        allow(allow_code)
    if pictures is not None:
        is_profiled = bool(given.pop("profile", False))
        _show(_train(given, language, is_profiled=is_profiled), language, as_json)
    elif config is not None:
        _refuse({name: value for name, value in given.items() if name != "out"}, "--config")
        _train_from_file(config, out or "runs", language, as_json, accept_changed_data=accept_changed_data)
    elif resume is not None:
        threads = given.pop("threads", None)
        _refuse(given, "--resume")
        _resume(resume, language, as_json, threads)


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    pictures: Annotated[
        str | None, typer.Argument(help="Labelled pictures; the run's own test part by default.")
    ] = None,
    layout: Layout = None,
    label_from: LabelFrom = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Score a run on labelled pictures.

    Every accuracy comes with its 95 % interval, and beside it what guessing the largest class would give.
    """
    with needing_extra("Evaluating", "train"):
        workflow = _workflow()
    from whyconv.show.runs import run_values, scored_lines

    language = texts.language(lang)
    with listening(language) as notify:
        summary = workflow.evaluate(run, pictures, notify, layout=layout or "auto", label_from=label_from)
    if as_json:
        print_json(json.dumps(run_values(summary)))
    print_text(scored_lines(summary, language))


def why(  # noqa: PLR0913, PLR0917
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    side: Annotated[
        int | None, typer.Option(metavar="8|16|32", help="Side in pixels; 8 where the run saw fewer than 16, else 16.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time for all of it, 10 by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="As little as still has an interval.")] = False,
    seed: Seed = None,
    atlas: Annotated[
        Path | None, typer.Option(metavar="FOLDER|atlas.json", help="Draw the run among the sets of this atlas.")
    ] = None,
    allow_code: AllowCode = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Measure why convolutions, on a run's pictures and its network.

    Four networks with one hidden layer, dense, local, shared-global and convolution, learn from rising numbers of the
    pictures: what locality and sharing gain, in accuracy and in pictures needed, with intervals and exact controls. The
    run's own network is asked about its test pictures moved by every shift. Writes why.json into the run folder and a
    section into its report.html; what was stopped goes on when asked again.
    """
    from whyconv.show.square import square_lines
    from whyconv.show.why import detail_lines, why_lines

    language = texts.language(lang)
    others = None if atlas is None else _read_atlas(atlas)
    with needing_extra("Measuring", "train"):
        allow(allow_code)
    found = _why(run, language, {"side": side, "minutes": minutes, "quick": quick, "seed": seed or 0})
    if as_json:
        print_json(found.model_dump_json())
    print_text([*square_lines(found.square, language), "", *detail_lines(found, language), ""])
    print_text(why_lines(found, language))
    record, report = _places(run, found)
    if others is not None:
        print_text(_among(others, run, found, report, language))
    print_text(_where(record, report, language))


def _why(run: Path, language: str, wanted: dict[str, Any]) -> Why:
    with needing_extra("Measuring", "train"):
        workflow = _workflow()
    with listening(language) as notify:
        found: Why = workflow.why(run, notify, **wanted)
    return found


def _places(run: Path, found: Why) -> tuple[Path, Path | None]:
    """Returns the file with all numbers, and the report; None where there is none, or it holds another file's."""
    with needing_extra("Measuring", "train"):
        from whyconv.explained import RECORD, REPORT, record_path
    record = record_path(run, found.question)
    is_shown = record.name == RECORD and (run / REPORT).exists()
    return record, run / REPORT if is_shown else None


def _where(record: Path, report: Path | None, language: str) -> list[str]:
    from whyconv.show.text import printable

    lines = [] if report is None else [texts.say("square_report", language, path=printable(str(report)))]
    return [*lines, texts.say("square_written", language, path=printable(str(record)))]


def _read_atlas(place: Path) -> Atlas:
    with needing_extra("Measuring", "train"):
        from whyconv.atlas import read_atlas
    return read_atlas(place)


def _among(others: Atlas, run: Path, found: Why, report: Path | None, language: str) -> list[str]:
    """Draws the run among the sets of an atlas, into the report too, and says where and what differs."""
    from whyconv.atlas import add_run, add_to_report, own_set
    from whyconv.report.atlas import difference_notes
    from whyconv.show.text import printable, wrap
    from whyconv.training.run_folder import read_plan

    own = own_set(run, read_plan(run), found)
    path = add_run(run, others, own, language)
    notes = [line for note in difference_notes(others, own, language) for line in wrap(note, "  ")]
    if report is not None and not add_to_report(report, others, own):
        notes += wrap(texts.say("why_no_place", language, path=printable(str(report))), "! ")
    return [texts.say("atlas_with_run", language, path=printable(str(path))), *notes]


def _train(given: dict[str, Any], language: str, *, is_profiled: bool = False) -> RunSummary:
    with needing_extra("Training", "train"):
        workflow = _workflow()
    from whyconv.settings import TrainSettings

    wanted = {name: value for name, value in given.items() if value is not None}
    settings = TrainSettings.of(wanted | {"language": language}, where="whyconv train")
    with listening(language) as notify:
        summary: RunSummary = workflow.train(settings, notify, profile=is_profiled)
    return summary


def _train_from_file(config: Path, out: str, language: str, as_json: bool, *, accept_changed_data: bool) -> None:
    with needing_extra("Training", "train"):
        workflow = _workflow()
    with listening(language) as notify:
        summary = workflow.train_from_file(config, notify, out=out, accept_changed_data=accept_changed_data)
    _show(summary, language, as_json)


def _resume(run: Path, language: str, as_json: bool, threads: int | None) -> None:
    with needing_extra("Training", "train"):
        workflow = _workflow()
    with listening(language) as notify:
        summary = workflow.resume(run, notify, threads=threads)
    _show(summary, language, as_json)


def _workflow() -> ModuleType:
    from whyconv.machine import set_thread_habits

    set_thread_habits()
    from whyconv import workflow

    return workflow


def _refuse(given: dict[str, Any], source: str) -> None:
    if "profile" in given:
        raise UsageError(
            f"--profile times a training that begins with its pictures, and goes with no {source}. Expected  whyconv "
            "train PICTURES --profile."
        )
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(given))
        raise UsageError(
            f"{flags} cannot be changed with {source}: the plan is in run.toml. To change it, copy and edit that file "
            "and train anew with --config."
        )


def _show(summary: RunSummary, language: str, as_json: bool, explained: Why | None = None) -> None:
    """Prints the outcome; what was explained stands before the last lines, which say where the results are."""
    from whyconv.show.runs import run_lines, run_values
    from whyconv.show.square import brief_square_lines
    from whyconv.show.text import printable
    from whyconv.training.distributed import launched

    if (launch := launched()) is not None and launch.rank:
        return  # The leader says it.

    if as_json:
        print_json(json.dumps(run_values(summary)))
    *scores, goes_on, where = run_lines(summary, language)
    print_text(scores)
    if explained is not None:
        run = printable(texts.as_typed(summary.run))
        more = texts.say("square_more", language, run=run)
        print_text(["", *brief_square_lines(explained.square, language), f"  {more}", ""])
        print_text([texts.say("run_page", language, run=run)])
    print_text([goes_on, where])
