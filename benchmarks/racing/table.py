"""The records as tables in Markdown."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from racing.cells import Cell, Row, cell_of, is_cell
from racing.intervals import Mean, error_rate, ratio
from racing.targets import OVER_BUDGET, judged, targets_of
from racing.tools import TOOLS

BEGIN, END = "<!-- race: begin -->", "<!-- race: end -->"
BASELINES = ("airbench", "resnet9")  # no peers: nobody would pick them; shown, not compared with
Column = tuple[str, str, str]  # tool, words, label


def tables(rows: Sequence[Row]) -> str:
    """Returns one table for each set and budget, what was compared, and what the figures were measured on."""
    cells = [row for row in rows if is_cell(row)]
    if not cells:
        return "Nothing was measured yet."
    budgets = sorted({(row["data"], row["minutes"]) for row in cells})
    parts = [_one_budget([row for row in cells if (row["data"], row["minutes"]) == budget]) for budget in budgets]
    return "\n\n".join([*parts, _footnotes(rows)])


def _one_budget(rows: Sequence[Row]) -> str:
    data, minutes = rows[0]["data"], rows[0]["minutes"]
    columns: dict[Column, list[Row]] = defaultdict(list)
    for row in rows:
        cell = cell_of(row)
        columns[cell.tool, cell.words, cell.label].append(row)
    errors = {column: _error(found) for column, found in columns.items()}
    peers = _peers(errors)
    best = min(peers, key=lambda name: peers[name].value) if peers else None
    lines = [
        f"**{data}, {minutes:g} minutes** ({_pictures(rows)})",
        "",
        f"| tool | accuracy % (95 %) | n | whole command s | training s | anchor | error / {best or 'better peer'} |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    order = list(TOOLS)
    for column in sorted(columns, key=lambda column: (order.index(column[0]) if column[0] in order else 99, column)):
        against = ratio(errors[column], peers[best]) if best and column[0] != best else None
        lines.append(_line(column, columns[column], errors[column], against))
    verdicts = [
        f"- {'must' if target.is_must else 'goal'}{_named(column)}: {target}: **{told}**{_late(columns[column])}"
        for column, error in errors.items()
        if column[0] == "whyconv"
        for target in targets_of(data, minutes)
        for told in [judged(target, error, peers)]
    ]
    return "\n".join([*lines, *(["", *verdicts] if verdicts else [])])


def _peers(errors: dict[Column, Mean]) -> dict[str, Mean]:
    """Returns the error of each peer; of one with several settings, the smallest."""
    peers: dict[str, Mean] = {}
    for (name, *_), error in errors.items():
        if name != "whyconv" and name not in BASELINES and error.value <= peers.get(name, error).value:
            peers[name] = error
    return peers


def _late(rows: Sequence[Row]) -> str:
    return ", but over the budget" * _is_over(rows)


def _is_over(rows: Sequence[Row]) -> bool:
    return max(row["seconds"] for row in rows) > OVER_BUDGET * 60 * rows[0]["minutes"]


def _error(rows: Sequence[Row]) -> Mean:
    return error_rate([row["n"] - row["right"] for row in rows], [row["n"] for row in rows])


def _pictures(rows: Sequence[Row]) -> str:
    counts = sorted({row["n"] for row in rows})
    return f"{' or '.join(f'{n:,}' for n in counts)} test pictures"


def _named(column: Column) -> str:
    return "".join(f" [{text}]" for text in column[1:] if text)


def _line(column: Column, rows: Sequence[Row], error: Mean, against: Mean | None) -> str:
    accuracy = f"{100 * (1 - error.value):.2f} ({100 * (1 - error.high):.2f}-{100 * (1 - error.low):.2f})"
    n = f"{error.n} seeds" if error.over == "seeds" else f"1 seed, {error.n:,} pictures"
    seconds, over = [row["seconds"] for row in rows], " over" * _is_over(rows)
    trained = [row["training_seconds"] for row in rows if row["training_seconds"] is not None]
    anchors = [row["anchor_ratio"] for row in rows]
    cells = [
        f"`{column[0]}`{_named(column)}",
        accuracy,
        n,
        f"{_range(seconds, 0)}{over}",
        _range(trained, 0) if trained else "",
        _range(anchors, 2),
        _ratio(against) if against else "",
    ]
    return f"| {' | '.join(cells)} |"


def _range(values: Sequence[float], digits: int) -> str:
    least, most = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return least if least == most else f"{least}-{most}"


def _ratio(found: Mean) -> str:
    high = "no bound" if math.isinf(found.high) else f"{found.high:.2f}"
    value = "no bound" if math.isinf(found.value) else f"{found.value:.2f}"
    return f"{value} ({found.low:.2f}-{high})"


def _footnotes(rows: Sequence[Row]) -> str:
    cells = [row for row in rows if is_cell(row)]
    machines = {
        f"{m['processor']}, {m['cores']} cores, {m['memory_gigabytes']} GB" for m in (r["machine"] for r in rows)
    }
    dates = sorted(row["date"][:10] for row in cells)
    anchors = [row["seconds"] for row in rows if row["kind"] == "anchor"]
    lines = [
        "Intervals are over seeds (Student's t), with one seed over pictures (Wilson). The ratio of errors is against "
        "the peer with the smallest mean error, its interval recovered from the two means' (MOVER). `over`: a command "
        "took more than 1.05 of its budget. Anchor: seconds of a fixed piece of work before the cell / those at first.",
        f"Measured {dates[0]} to {dates[-1]} on {'; '.join(sorted(machines))}. Load before a cell: "
        f"{_range([row['load_before'] for row in cells], 1)}."
        + (f" Anchor: {len(anchors)} times, {_range(anchors, 1)} s." if anchors else ""),
        *_version_lines(cells),
    ]
    return "\n".join(lines)


def _version_lines(cells: Sequence[Row]) -> list[str]:
    found: dict[str, set[str]] = defaultdict(set)
    for row in cells:
        words = ", ".join(f"{name} {text}" for name, text in row["versions"].items() if text)
        found[words].add(row["tool"])
    return [f"- {', '.join(f'`{tool}`' for tool in sorted(tools))}: {words}" for words, tools in sorted(found.items())]


def put_into(page: Path, text: str) -> None:
    """Replaces what stands between the two marks of a page.

    Raises:
        ValueError: The page lacks the marks.
    """
    before, found, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, also_found, after = rest.partition(END)
    if not (found and also_found):
        raise ValueError(f"{page} has no lines {BEGIN} and {END}. Add them where the tables belong.")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def listing(cells: Sequence[Cell], rows: Sequence[Row]) -> str:
    """Returns the cells with the minutes each will take, and their sum.

    A cell takes what others of its tool, set and budget took, else its budget and a little for scoring.
    """
    took: dict[tuple[str, str, float], list[float]] = defaultdict(list)
    for row in rows:
        if is_cell(row):
            took[row["tool"], row["data"], row["minutes"]].append(row["seconds"] / 60)
    expected = [_expected(cell, took[cell.tool, cell.data, cell.minutes]) for cell in cells]
    lines = [f"{minutes:7.1f} min  {cell}" for cell, minutes in zip(cells, expected, strict=True)]
    return "\n".join([*lines, f"{sum(expected):7.1f} min  {len(cells)} cells, anchors apart"])


def _expected(cell: Cell, before: Sequence[float]) -> float:
    return (sum(before) / len(before) if before else cell.minutes * OVER_BUDGET) + 0.2
