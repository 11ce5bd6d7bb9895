"""The dense network in three matchings, as lines: what each has, and how it does beside the convolution."""

from __future__ import annotations

from whyconv.results import MATCHED_ARMS, MATCHES, PLACES, Matched, MatchedSize, Place, Square
from whyconv.results.numbers import in_percent, in_points
from whyconv.show.text import table, wrap
from whyconv.texts import say


def matched_lines(square: Square, language: str) -> list[str]:
    """Returns the three dense networks beside the convolution; nothing where they were not trained."""
    if square.matched is None:
        return []
    lines = ["", *wrap(say("matched_head", language), ""), *_size_lines(square.matched, language)]
    for place in PLACES:
        lines += [*wrap(say(f"matched_accuracy_{place}", language), ""), *_accuracy_lines(square, place, language)]
    return [*lines, *wrap(say("matched_note", language), "  ")]


def _size_lines(found: Matched, language: str) -> list[str]:
    rows = [["", *(say(f"matched_column_{name}", language) for name in MATCHES)]]
    rows += [_size_row(say(f"matched_{one.match}", language), one) for one in found.sizes]
    rows.append(_size_row(say("square_corner_convolution", language), found.convolution))
    return table(rows)


def _size_row(name: str, one: MatchedSize) -> list[str]:
    return [name, f"{one.units:,}", f"{one.parameters:,}", f"{one.multiply_adds:,}"]


def _accuracy_lines(square: Square, place: Place, language: str) -> list[str]:
    """A row for each number of pictures: accuracies, then what the convolution gains on each dense network."""
    assert square.matched is not None
    head = [say(f"matched_short_{match}", language) for match in MATCHES]
    convolution = say("square_corner_convolution", language)
    accuracies = [["n", *head, convolution]]
    gains = [[say("matched_gain", language), *head]]
    for n_train in square.protocol.sizes:
        scores = [square.score("dense", place, n_train, arm=MATCHED_ARMS[match]) for match in MATCHES]
        found = [*(one.accuracy for one in scores), square.score("convolution", place, n_train).accuracy]
        accuracies.append([f"{n_train:,}", *(in_percent(one) for one in found)])
        paired = [square.matched.gain(match, place, n_train) for match in MATCHES]
        gains.append([f"{n_train:,}", *(in_points(one) for one in paired)])
    return [*table(accuracies), *table(gains)]
