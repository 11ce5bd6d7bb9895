"""What a section on why convolutions says of the dense network in three matchings."""

from __future__ import annotations

from collections.abc import Sequence

from whyconv.report.blocks import Block, Table, teller
from whyconv.report.curves import Say
from whyconv.results import MATCHED_ARMS, MATCHES, PLACES, Matched, MatchedSize, Place, Square
from whyconv.results.numbers import in_percent, in_points


def matched_block(square: Square, found: Matched, language: str) -> Block:
    """The three dense networks beside the convolution: what they have, their accuracies, what it gains on each."""
    say = teller(language)
    rows = [_size_row(say(f"matched_{one.match}"), one) for one in found.sizes]
    rows.append(_size_row(say("square_corner_convolution"), found.convolution))
    head = ["", *(say(f"matched_column_{name}") for name in MATCHES)]
    tables = [Table(head, rows, title=say("matched_head"))]
    tables += [_accuracies(square, found, place, say) for place in PLACES]
    return Block(title=say("report_why_matched"), tag="", tables=tables, notes=[say("matched_note")])


def _size_row(name: str, one: MatchedSize) -> Sequence[str]:
    return [name, f"{one.units:,}", f"{one.parameters:,}", f"{one.multiply_adds:,}"]


def _accuracies(square: Square, found: Matched, place: Place, say: Say) -> Table:
    names = [say(f"matched_{match}") for match in MATCHES]
    convolution = say("square_corner_convolution")
    rows = []
    for n_train in square.protocol.sizes:
        scores = [square.score("dense", place, n_train, arm=MATCHED_ARMS[match]) for match in MATCHES]
        accuracies = [*(one.accuracy for one in scores), square.score("convolution", place, n_train).accuracy]
        gains = [found.gain(match, place, n_train) for match in MATCHES]
        rows.append([f"{n_train:,}", *map(in_percent, accuracies), *map(in_points, gains)])
    head = ["n", *names, convolution, *(f"{convolution} - {name}" for name in names)]
    return Table(head, rows, title=say(f"matched_accuracy_{place}"))
