"""Opening what a stranger sends runs no code and does not exhaust the machine: it opens, or is refused at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import strange_graphs
import strange_runs
import strange_tensors
from strange_runs import Payload
from tiny_model import make_metadata, make_model

MOST_SECONDS, MOST_MEGABYTES = 1.0, 100.0
PROCESS = Path(__file__).parents[1] / "opening_process.py"
# First of each opener: what is loaded when it is first used is no part of what a payload takes.
LOADED = ("recognizer", "backbone", "torch", "resume", "start", "summary", "examples", "inspect", "export", "arrays")


def graphs(folder: Path, secret: Path) -> Iterator[Payload]:
    found = [
        *strange_graphs.external(folder, secret),
        *strange_graphs.operators(),
        *strange_graphs.sizes(),
        *((f"metadata-{name}", content) for name, content in strange_graphs.descriptions()),
    ]
    for number, (name, content) in enumerate(found):
        path = folder / f"{number}.onnx"
        path.write_bytes(content)
        yield f"model-{name}", "recognizer", path, "refused"
        if not name.startswith("metadata"):
            yield f"start-{name}", "backbone", path, "refused"


def shown_as_text(folder: Path) -> Iterator[Payload]:
    """What is odd, and no reason to refuse: names are text wherever they are shown."""
    for number, name in enumerate(
        ("<script>alert(1)</script>", "../../etc/passwd", "=cmd|' /C calc'!A0", "\u202egnp.exe")
    ):
        path = folder / f"text-{number}.onnx"
        path.write_bytes(make_model(make_metadata(classes=[name, "b", "c"])).SerializeToString())
        yield f"class-{name}", "recognizer", path, "opens"


def everything(place: Path, marker: Path) -> list[Payload]:
    secret = place / "secret.bin"
    secret.write_bytes(bytes(36))
    made: dict[str, Callable[[Path], Iterator[Payload]]] = {
        "graphs": lambda folder: graphs(folder, secret),
        "text": shown_as_text,
        "code": strange_runs.code_by_name,
        "descriptions": strange_runs.descriptions,
        "plans": strange_runs.plans,
        "weights": lambda folder: strange_runs.weights(folder, marker),
        "states": strange_runs.states,
        "records": lambda folder: strange_runs.records(folder, marker),
        "pictures": lambda folder: strange_runs.pictures(folder, marker, secret),
    }
    found = []
    for name, make in made.items():
        (place / name).mkdir()
        found += list(make(place / name))
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strangers")


@pytest.fixture(scope="module")
def payloads(place: Path) -> list[Payload]:
    """Written anew for this test; the digits of the runs lie where their plans look for them."""
    (place / "digits.npz").write_bytes(strange_runs.digits().read_bytes())
    strange_runs.write_module(place, place / "marker")
    return everything(place, place / "marker")


@pytest.fixture(scope="module")
def found(place: Path, payloads: list[Payload]) -> dict[str, dict[str, Any]]:
    """What became of each, by its name."""
    ended = strange_runs.copies(place / "loaded", strange_runs.ENDED)
    first = [(f"loaded-{opener}", opener, str(ended(opener))) for opener in LOADED]
    rows = [*first, *((name, opener, str(path)) for name, opener, path, _ in payloads)]
    (place / "payloads.json").write_text(json.dumps(rows))
    done = run_python([str(PROCESS), str(place / "payloads.json")], place)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "the libraries below say nothing of their own"
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["name"]: row for row in told}


def run_python(words: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    """Python in another folder, with the same modules; its caches are there too."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "XDG_CACHE_HOME": str(place / "cache")}
    return subprocess.run(
        [sys.executable, *words], cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_there_are_enough_of_them(payloads: list[Payload], found: dict[str, dict[str, Any]]) -> None:
    assert len({name for name, *_ in payloads}) == len(payloads) >= 200
    assert found.keys() >= {name for name, *_ in payloads}


def test_nothing_of_them_ran(place: Path, found: dict[str, dict[str, Any]]) -> None:
    assert not (place / "marker").exists()
    assert {name: row["events"] for name, row in found.items() if row["events"] and "loaded" not in name} == {}


def test_they_are_refused_by_our_own_errors(payloads: list[Payload], found: dict[str, dict[str, Any]]) -> None:
    wrong = {
        name: (found[name]["kinds"][:1], found[name]["text"][:200])
        for name, _, _, expected in payloads
        if (expected == "refused") != ("WhyconvError" in found[name]["kinds"])
        or (expected == "opens" and found[name]["kinds"])
    }
    assert wrong == {}


def test_a_refusal_takes_a_second_and_100_megabytes_at_most(
    payloads: list[Payload], found: dict[str, dict[str, Any]]
) -> None:
    wrong = {
        name: (round(row["seconds"], 2), round(row["megabytes"]))
        for name, row in found.items()
        if "loaded" not in name and (row["seconds"] > MOST_SECONDS or row["megabytes"] > MOST_MEGABYTES)
    }
    assert wrong == {}


def test_a_refusal_is_short_and_shows_no_trace(found: dict[str, dict[str, Any]]) -> None:
    assert {
        name: row["text"][:300] for name, row in found.items() if len(row["text"]) > 3000 or "Traceback" in row["text"]
    } == {}


def test_what_ran_would_have_been_seen(place: Path) -> None:
    """The watch itself: each kind of event is noticed, and a pickle that is loaded makes the marker."""
    marker = place / "seen"
    (place / "bomb.pkl").write_bytes(dict(strange_tensors.pickles(marker))["protocol-4"])
    code = (
        "import opening_process as it, pickle, subprocess, socket, sys, os\n"
        "sys.addaudithook(it.watch)\n"
        "it.OPENERS |= {'pickle': lambda path: pickle.loads(path.read_bytes()), 'eval': lambda path: eval('1 + 1'),\n"
        "  'run': lambda path: subprocess.run(['true']),\n"
        "  'socket': lambda path: socket.socket().connect(('127.0.0.1', 9)),\n"
        "  'module': lambda path: __import__('stranger_module')}\n"
        "sys.path.insert(0, os.getcwd())\n"
        "from pathlib import Path\n"
        "for name in ('pickle', 'eval', 'run', 'socket', 'module'):\n"
        "    print(name, it.opened(name, Path('bomb.pkl'))['events'] != [])\n"
    )
    strange_runs.write_module(place, place / "seen-module")
    done = run_python(["-c", code], place)
    seen = dict(line.split() for line in done.stdout.splitlines())
    assert seen == dict.fromkeys(("pickle", "eval", "run", "socket", "module"), "True"), done.stderr
    assert marker.exists()
