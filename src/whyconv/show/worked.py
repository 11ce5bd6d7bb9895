"""One output of a layer as written arithmetic: the picture, the filter, the sum, and what the output depends on."""

from __future__ import annotations

import itertools
from collections.abc import Set as AbstractSet

from rich.cells import cell_len

from whyconv.results.layer import Term, WorkedOutput
from whyconv.show.text import WIDTH, wrap
from whyconv.texts import say

_GAP = 6


def worked_lines(shown: WorkedOutput, language: str) -> list[str]:
    """Returns the arithmetic of one output, all outputs of the same weights, and what was found by changing inputs."""
    row, column = shown.place
    head = say("layer_shown_head", language, row=row, column=column)
    return [head, "", *_picture_and_filter(shown, language), "", *_sum(shown, language), "", *_claims(shown, language)]


def _picture_and_filter(shown: WorkedOutput, language: str) -> list[str]:
    seen = {term.place for term in shown.terms if term.place}
    picture = [say("layer_shown_picture", language), *_grid(shown.picture, seen)]
    weights = [say("layer_shown_filter", language), *_grid(shown.weights, set())]
    wide = max(map(cell_len, picture)) + _GAP
    if wide + max(map(cell_len, weights)) + 2 > WIDTH:
        return [f"  {line}" for line in [*picture, "", *weights]]
    pairs = itertools.zip_longest(picture, weights, fillvalue="")
    return [f"  {left}{' ' * (wide - cell_len(left))}{right}".rstrip() for left, right in pairs]


def _grid(numbers: list[list[int]], marked: AbstractSet[tuple[int, int]]) -> list[str]:
    """Returns rows of numbers, those at the marked places in brackets; of a wide grid, the columns around them."""
    width = max(len(str(number)) for row in numbers for number in row)
    fits = (WIDTH - 8) // (width + 1)
    first = max(0, min(min((column for _, column in marked), default=0) - 1, len(numbers[0]) - fits))
    last = min(len(numbers[0]), first + fits)
    lines = []
    for index, row in enumerate(numbers):
        line = ""
        for column in range(first, last):
            before, here = ((index, column - 1) in marked and column > first), (index, column) in marked
            line += ("[" if here and not before else "]" if before and not here else " ") + f"{row[column]:>{width}}"
        line += "]" if (index, last - 1) in marked else ""
        lines.append(("..." if first else "") + line + (" ..." if last < len(row) else ""))
    return lines


def _sum(shown: WorkedOutput, language: str) -> list[str]:
    """Returns one line for each row of the kernel, and the sum."""
    rows = [list(terms) for _, terms in itertools.groupby(shown.terms, key=lambda term: term.tap[0])]
    parts = [sum(term.value * term.weight for term in terms) for terms in rows]
    width = max(len(_product(term)) for term in shown.terms)
    wide = max(len(str(part)) for part in (*parts, sum(parts)))
    lines: list[str] = []
    for terms, part in zip(rows, parts, strict=True):
        products = " + ".join(f"{_product(term):>{width}}" for term in terms)
        lines += _within(f"{products}  =  {part:>{wide}}", "  + " if lines else "    ")
    indent = len(lines[-1]) - wide - 3
    lines.append(f"{'':{max(indent, 0)}}=  {sum(parts):>{wide}}")
    if any(term.place is None for term in shown.terms):
        lines.append(f"  {say('layer_shown_padding', language)}")
    if shown.num_channels > 1:
        values = {"n": shown.num_channels, "one": sum(parts), "value": shown.value}
        lines += wrap(say("layer_shown_channels", language, **values), "  ")
    return lines


def _within(line: str, indent: str) -> list[str]:
    return [indent + line] if len(indent + line) <= WIDTH else wrap(line, indent)


def _product(term: Term) -> str:
    return f"{'(0)' if term.place is None else term.value}*{term.weight}"


def _claims(shown: WorkedOutput, language: str) -> list[str]:
    num_weights = len(shown.terms) * shown.num_channels
    places = len(shown.outputs) * len(shown.outputs[0])
    lines = wrap(say("layer_shown_sharing", language, weights=num_weights, places=places), "")
    lines += [f"  {line}" for line in _grid(shown.outputs, {shown.place})]
    values = {
        "seen": shown.num_connected,
        "all": shown.num_connected + shown.num_others,
        "others": shown.num_others,
        "moved": shown.num_others_that_moved_it,
        "seen_moved": shown.num_connected_that_moved_it,
    }
    is_part = shown.num_connected_that_moved_it < shown.num_connected
    rest = say("layer_shown_sparsity_rest", language) if is_part else ""
    return [*lines, "", *wrap(say("layer_shown_sparsity", language, **values, rest=rest), "")]
