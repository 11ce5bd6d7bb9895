"""The files of the page, without a browser: sentences used and there, nothing inline, nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import whyconv
from whyconv.texts import fields, sentences

PAGE = Path(whyconv.__file__).parent / "web" / "page"
FILES = sorted(path for path in PAGE.iterdir() if path.suffix in (".js", ".html", ".css", ".svg"))
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
LITERAL = re.compile(r"""["'](page_\w+)["']""")
MADE = re.compile(r"`(page_[^`]*\$\{[^`]*)`")
MOST_LINES = 400


def written() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in FILES)


def ours() -> set[str]:
    return {key for key in sentences() if key.startswith("page_")}


def test_every_sentence_that_the_page_names_is_there() -> None:
    named = set(LITERAL.findall(written()))
    assert len(named) > 100
    assert sorted(named - ours()) == []


def test_every_sentence_of_the_page_is_said() -> None:
    text = written()
    made = [re.sub(r"\\\$\\\{.*?\\\}", r"\\w+", re.escape(one)) for one in MADE.findall(text)]
    assert len(made) >= 8
    spoken = set(LITERAL.findall(text))
    assert [key for key in sorted(ours() - spoken) if not any(re.fullmatch(one, key) for one in made)] == []


def test_no_sentence_takes_the_server_for_the_readers_own_machine() -> None:
    near = [key for key in sorted(ours()) if re.search("this (computer|machine)|이 컴퓨터", str(sentences()[key]))]
    assert near == []


@pytest.mark.parametrize("key", sorted(ours()))
def test_the_page_can_fill_in_every_field(key: str) -> None:
    for text in sentences()[key].values():
        assert re.sub(r"\{\w+\}", "", text).count("{") == 0
        assert all(re.fullmatch(r"[a-z_]+", name) for name in fields(text))


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)", html) == []
    assert re.findall(r"<style|\bstyle=|\bon\w+=", html) == []
    text = written().replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"https?://|@import|url\(|\beval\(|new Function|innerHTML|document\.write", text) == []


def test_every_import_is_a_file_of_the_page_and_every_module_is_reached() -> None:
    reached, waiting = set(), ["main.js"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += re.findall(r'from "\./([\w.]+)"', (PAGE / name).read_text(encoding="utf-8"))
    assert reached == {path.name for path in SCRIPTS}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_modules_say_what_they_are_and_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("/** ")
    assert text.count("\n") <= MOST_LINES
    assert max(map(len, text.splitlines())) <= 120
