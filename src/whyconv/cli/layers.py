"""The verb that counts: layer. It needs no torch, but for timing a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from whyconv import texts
from whyconv.cli.options import Json, Lang
from whyconv.cli.terminal import listening, print_json, print_text
from whyconv.errors import UsageError, needing_extra

if TYPE_CHECKING:
    from whyconv.counting import Convolution
    from whyconv.results.fields import Verification
    from whyconv.results.layer import StepReport

Shape = Annotated[str, typer.Argument(metavar="SHAPE", help="HxWxC, such as 32x32x3; HxW is one channel.")]


def layer(  # noqa: PLR0913, PLR0917
    shape: Shape,
    filters: Annotated[str, typer.Option(metavar="N", help="How many: the output's channels.")] = "1",
    kernel: Annotated[str, typer.Option(metavar="K|KxK", help="Taps along each axis.")] = "3",
    stride: Annotated[str, typer.Option(metavar="S|SxS", help="Between neighboring outputs.")] = "1",
    padding: Annotated[str, typer.Option(metavar="P|PxP|same|valid", help="Places added on both sides.")] = "0",
    dilation: Annotated[str, typer.Option(metavar="D|DxD", help="Between neighboring taps.")] = "1",
    groups: Annotated[str, typer.Option(metavar="G", help="Of channels; as many as channels: depthwise.")] = "1",
    padding_mode: Annotated[
        str, typer.Option(metavar="zeros|reflect|replicate|circular", help="What lies in the padding.")
    ] = "zeros",
    axes: Annotated[str, typer.Option(metavar="1|2|3", help="How many numbers of SHAPE are axes.")] = "2",
    no_bias: Annotated[bool, typer.Option("--no-bias", help="Weights only.")] = False,
    tried: Annotated[bool, typer.Option("--try", help="Time a training step of each layer; needs torch.")] = False,
    verified: Annotated[
        bool, typer.Option("--verify", help="Prove the identities on the layer itself; needs torch.")
    ] = False,
    show: Annotated[str | None, typer.Option(metavar="R,C", help="Write out the output at row R, column C.")] = None,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Count what a convolution saves, and why.

    Compares it with the dense layer, the local layer (same reach, nothing shared) and the shared one without
    locality: weights, memory, connections, multiply-adds. Exact at any size; nothing is allocated.
    """
    from whyconv.counting.layer import count_layer
    from whyconv.counting.words import LayerWords
    from whyconv.counting.worked import can_be_worked_out, work_out
    from whyconv.show.layer import layer_lines

    language = texts.language(lang)
    words = LayerWords(
        shape, filters, kernel, stride, padding, dilation, groups, padding_mode, has_bias=not no_bias, axes=axes
    )
    asked = words.convolution()
    report = count_layer(asked)
    if show is not None:
        report = report.model_copy(update={"shown": work_out(asked, *_place(show))})
    if tried:
        report = report.model_copy(update={"steps": _try(asked, language)})
    if verified:
        report = report.model_copy(update={"verification": _verify(asked)})
    if as_json:
        print_json(report.model_dump_json())
    print_text(layer_lines(report, language, can_be_shown=can_be_worked_out(asked)))
    if report.verification is not None:
        from whyconv.measures.verify import require_proved

        require_proved([report.verification])


def _place(text: str) -> tuple[int, int]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise UsageError(f"--show '{text}': expected a row and a column of the output, from 0, such as 0,1.")
    return int(parts[0]), int(parts[1])


def _try(asked: Convolution, language: str) -> StepReport:
    with needing_extra("Timing a training step (--try)", "train"):
        from whyconv.machine import set_thread_habits

        set_thread_habits()
        from whyconv.measures.step import time_steps

    with listening(language) as notify:
        return time_steps(asked, notify)


def _verify(asked: Convolution) -> Verification:
    with needing_extra("Proving the identities (--verify)", "train"):
        from whyconv.machine import set_thread_habits

        set_thread_habits()
        from whyconv.measures.verify import verify_convolution
    return verify_convolution(asked)
