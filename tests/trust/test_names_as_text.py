"""Names of classes, files and layers are text and nothing else: on the page, in reports, tables and on a terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from hostile_names import PAYLOADS, as_file_name
from hostile_run import SIDE, gray_of, write_hostile_run
from http_server import serving
from made_up_run import content
from page_driver import PATIENCE, browsing, comes
from whyconv.predictions import as_json, writing_predictions
from whyconv.report import MistakenPicture, ReportContent, SeenPicture, write_card, write_report
from whyconv.results import Prediction, RankedLabel, Unreadable
from whyconv.show.text import printable_json

PLAIN = tuple(f"name {number:03}" for number in range(len(PAYLOADS)))
TERMINAL_CODES = ("Cc", "Cf", "Cs", "Zl", "Zp")
# The shape of a page: its elements and the names of their attributes, without any text.
OUTLINE = """() => [...document.querySelectorAll('*')]
    .map(e => e.tagName + ' ' + [...e.attributes].map(a => a.name).sort().join(' '))"""
ACTIVE = """() => [...document.querySelectorAll('*')].flatMap(e => [...e.attributes]
    .filter(a => a.name.startsWith('on') || (/^(href|src|srcdoc|action|formaction|data|xlink:href)$/.test(a.name)
        && !/^(data:image\\/png|data:,$|#|\\/page\\/|\\/$|https?:\\/\\/127)/.test(a.value)))
    .map(a => `${e.tagName} ${a.name} ${a.value.slice(0, 60)}`))"""


def test_there_are_two_hundred_names() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) == 200


# --- in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as found:
        yield found


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that must say nothing, ask nobody, open nothing."""
    noise: list[str] = []
    context = browser.new_context()
    context.add_init_script(
        "window.owned = 0; addEventListener('securitypolicyviolation', e => { window.owned = 1; });"
    )
    found = context.new_page()
    found.on("console", lambda one: noise.append(f"console: {one.text}"))
    found.on("pageerror", lambda error: noise.append(f"error: {error}"))
    found.on("dialog", lambda dialog: (noise.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    context.on("page", lambda other: noise.append(f"opened: {other.url}"))
    found.on("request", lambda one: None if one.url.startswith(("http://127.0.0.1:", "file:", "blob:", "data:"))
             else noise.append(f"asked: {one.url}"))  # fmt: skip
    yield found
    assert found.evaluate("window.owned") == 0
    context.close()
    assert noise == []


def gray_png(level: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE), level, np.uint8)).save(file, "PNG")
    return file.getvalue()


def files_named(names: tuple[str, ...]) -> list[dict[str, object]]:
    return [
        {"name": name, "mimeType": "image/png", "buffer": gray_png(gray_of(rank, len(names)))}
        for rank, name in enumerate(names)
    ]


def requests_of(page: Any) -> set[Any]:
    """The requests that the page waits for, from now on."""
    asking: set[Any] = set()

    def begins(one: Any) -> None:
        asking.add(one)

    def ends(one: Any) -> None:
        asking.discard(one)

    page.on("request", begins)
    page.on("requestfinished", ends)
    page.on("requestfailed", ends)
    return asking


def settled(page: Any, asking: set[Any]) -> list[str]:
    """The page's outline once it asks for nothing and changes no more, however slow the machine is."""
    looks: list[list[str]] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        page.wait_for_timeout(60)
        looks = [] if asking else [*looks, page.evaluate(OUTLINE)][-5:]
        if len(looks) == 5 and all(look == looks[0] for look in looks):
            return looks[0]
    raise AssertionError(f"the page was not ready after {PATIENCE} s")


def shown_page(page: Any, folder: Path, names: tuple[str, ...], layer: str) -> list[str]:
    """Brings a picture of every name to the page of a run of these names, goes through its tabs, and looks at it."""
    run = write_hostile_run(folder / "runs" / (as_file_name(names[0]) or "x"), names, layer)
    asking = requests_of(page)
    with serving(run) as server:
        page.goto(f"{server.ready['url']}?lang=en#recognize")
        page.wait_for_selector("html[data-ready]")
        page.wait_for_selector(f"figcaption:has-text('{SIDE} × {SIDE}')")
        page.set_input_files("input[type=file]", files_named(names))
        rows = page.locator("ul.files li button")
        comes(rows.count, len(names))
        texts = rows.evaluate_all("all => all.map(e => e.textContent)")
        rows.last.click()
        comes(lambda: page.locator("p.first bdi").evaluate("e => e.textContent"), names[-1])
        outline = settled(page, asking)
        tabs = page.locator("[role=tab]")
        for number in range(tabs.count()):
            tabs.nth(number).click()
            outline += settled(page, asking)
            assert page.evaluate(ACTIVE) == []
        assert page.locator("#trouble").inner_text() == ""
    for name, text in zip(names, texts, strict=True):
        assert text.startswith(f"{name}: {name} (")
    return outline


def test_the_page_shows_every_name_as_it_is(page: Any, tmp_path: Path) -> None:
    outline = shown_page(page, tmp_path / "hostile", PAYLOADS, "<img src=x onerror=alert(1)>")
    assert outline == shown_page(page, tmp_path / "plain", PLAIN, "layer")


def report_of(names: tuple[str, ...]) -> ReportContent:
    """A report with every name in every place."""
    picture = np.zeros((8, 8, 3), np.uint8)
    made = content(
        names,
        run=names[0],
        seen=[SeenPicture(picture, name, name) for name in names],
        most_confused=[MistakenPicture(picture, name, name, names[0], 0.9) for name in names],
        environment=dict.fromkeys(names, names[1]),
        plan={name: name for name in names},
        statements=dict.fromkeys(("license", "developer", "contact", "ethics", "intended_use"), names[2]),
    )
    assert made.check is not None
    unreadable = [Unreadable(name=name, reason=name) for name in names]
    group = made.check.duplicates[0].model_copy(
        update={"names": list(names[:9]), "labels": list(names[:9]), "parts": ["train"] * 9}
    )
    changes = {
        "where": names[3],
        "unreadable": unreadable,
        "skipped": list(names),
        "duplicates": [group],
        "leaks": [group],
        "conflicts": [group],
    }
    return ReportContent(**{**vars(made), "check": made.check.model_copy(update=changes)})


def groups(size: int) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The names in groups, each beside as many plain ones."""
    return [(PAYLOADS[at : at + size], PLAIN[at : at + size]) for at in range(0, len(PAYLOADS), size)]


def test_the_report_shows_every_name_as_text(page: Any, tmp_path: Path) -> None:
    for number, (hostile, plain) in enumerate(groups(25)):
        outlines = []
        for kind, names in (("hostile", hostile), ("plain", plain)):
            path = tmp_path / f"{kind}-{number}.html"
            write_report(path, report_of(names), ("en", "ko")[number % 2])
            page.goto(path.as_uri())
            outlines.append(page.evaluate(OUTLINE))
            assert page.evaluate(ACTIVE) == []
        assert outlines[0] == outlines[1]


def kinds_of(tokens: list[Any]) -> list[str]:
    """The kinds of the pieces of a Markdown text, without their words."""
    kinds: list[str] = []
    for token in tokens:
        kinds += [token.type] if token.type not in ("text", "text_special", "softbreak") else []
        kinds += kinds_of(token.children or [])
    return kinds


def test_the_model_card_shows_every_name_as_text(tmp_path: Path) -> None:
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for hostile, plain in groups(25):
        texts = []
        for name, names in (("hostile", hostile), ("plain", plain)):
            write_card(tmp_path / f"{name}.md", report_of(names))
            texts.append((tmp_path / f"{name}.md").read_text(encoding="utf-8"))
        assert kinds_of(reader.parse(texts[0])) == kinds_of(reader.parse(texts[1]))
        assert not steering(texts[0])


# --- on a terminal


def steering(text: str) -> list[str]:
    """Letters that a terminal or a reader's eye takes for more than a letter; ends of lines and joiners are none."""
    return [one for one in text if unicodedata.category(one) in TERMINAL_CODES and one not in "\n\u200c\u200d"]


def on_a_terminal(folder: Path, *words: str) -> str:
    """What a command writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "whyconv", *words], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"LANG": "C.UTF-8", "TERM": "xterm-256color", "XDG_CACHE_HOME": str(folder / "cache")},
    ) as process:  # fmt: skip
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            said += part
        process.wait(timeout=60)
    os.close(ours)
    return said.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


# What rich writes itself: colors, moves of the cursor up and to the beginning of a line, and its hiding.
_OWN_CODES = re.compile(r"\x1b\[[0-9;]*[mAKG]|\x1b\[\?25[lh]|\x1b\[2K|\r")


@pytest.fixture(scope="module")
def named_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each name, with a picture of that name."""
    folder = tmp_path_factory.mktemp("named")
    names = [name for payload in PAYLOADS if (name := as_file_name(payload))]
    for rank, name in enumerate(dict.fromkeys(names)):
        (folder / "pictures" / name).mkdir(parents=True)
        level = gray_of(rank % 200, 200)
        (folder / "pictures" / name / f"{name[:60]}.png").write_bytes(gray_png(level))
        (folder / "pictures" / name / f"bad {name[:60]}.png").write_bytes(b"no picture")
    write_hostile_run(folder / "run", PAYLOADS, "\x1b[31mlayer")
    return folder


LONG = pytest.mark.long
COMMANDS = [
    ("predict", "run", "pictures", "--top", "5"),
    ("predict", "run", "pictures", "--json"),
    ("check", "pictures"),
    ("predict", "\x1b]0;owned\x07\x9b31m", "x"),
    ("predict", "run", "--\x1b[31mowned\x9b31m"),
    pytest.param(("check", "pictures", "--json"), marks=LONG),
    pytest.param(("explain", "run", "gray.png"), marks=LONG),
    pytest.param(("explain", "run", "gray.png", "--json"), marks=LONG),
    pytest.param(("inspect", "run"), marks=LONG),
    pytest.param(("inspect", "run", "--json"), marks=LONG),
    pytest.param(("\x1b[31mowned\x9b31m",), marks=LONG),
    pytest.param(("serve", "run", "--host", "\x1b[31m\x9b31m"), marks=LONG),
    pytest.param(("train", "pictures", "--network", "\x1b[31m\x9b31m"), marks=LONG),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words).encode("unicode_escape").decode())
def test_no_name_steers_the_terminal(named_pictures: Path, words: tuple[str, ...]) -> None:
    (named_pictures / "gray.png").write_bytes(gray_png(100))
    said = on_a_terminal(named_pictures, *words)
    assert len(said) > 20
    assert steering(_OWN_CODES.sub("", said)) == []
    assert "\x1b[31m" not in said


# --- in tables


def rows_of_names() -> list[Prediction]:
    return [
        Prediction(
            name=name, labels=[RankedLabel(label=name, probability=1.0)], label_set=[name, PAYLOADS[0]], error=name
        )
        for name in PAYLOADS
    ]


STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def test_no_cell_of_a_csv_file_is_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    with writing_predictions(path, 1, has_sets=True) as write:
        for row in rows_of_names():
            write(row)
    text = path.read_text(encoding="utf-8")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, strict=True))[1:]
    assert len(rows) == len(PAYLOADS)
    cells = [cell for row in rows for cell in row]
    # Some countries' spreadsheets split cells at semicolons or tabs, whatever stands in quotes.
    elsewhere = [cell for line in re.split(r"[\r\n]+", text) for cell in re.split(r"[;\t]", line)]
    for cell in (*cells, *elsewhere):
        assert not cell.lstrip(' \u00a0"').startswith(STARTS), repr(cell)
    for name, row in zip(PAYLOADS, rows, strict=True):
        assert row[0].replace("'", "") == name.replace("'", "")


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_other_tables_hold_every_name_as_it_is(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"p.{ending}"
    with writing_predictions(path, 1) as write:
        for row in rows_of_names():
            write(row)
    if ending == "jsonl":
        rows = [json.loads(line) for line in path.read_bytes().decode().split("\n")[:-1]]
    else:
        rows = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    assert [(row["path"], row["label"], row["error"]) for row in rows] == [(name, name, name) for name in PAYLOADS]


def test_json_on_a_terminal_has_only_letters_and_reads_back() -> None:
    for row in rows_of_names():
        line = printable_json(as_json(row, 1))
        assert steering(line) == []
        assert "\n" not in line
        assert json.loads(line) == json.loads(as_json(row, 1))
