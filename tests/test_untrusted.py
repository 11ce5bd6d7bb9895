"""JSON and TOML of others: what Python's readers make of it, within bounds that are kept to the letter."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from whyconv import untrusted
from whyconv.untrusted import content_of, json_in, json_values, toml_in

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(value=PLAIN)
def test_json_is_what_python_reads(value: object) -> None:
    assert json_values(json.dumps(value)) == value


@settings(max_examples=100, deadline=None)
@given(value=st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))))
def test_toml_is_what_python_reads(value: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "some.toml"
    path.write_text(tomli_w.dumps(value), encoding="utf-8", newline="\n")
    assert toml_in(path) == tomllib.loads(tomli_w.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 1}', "the key 'a' stands in it twice"),
        ('[{"b": {"a": 1, "a": 2}}]', "the key 'a' stands in it twice"),
        ("[" * 33 + "]" * 33, "nested more than 32 deep"),
        ("[" * 50_000, "nested too deeply"),
        ("[1" + ",1" * untrusted.MOST_JSON_VALUES + "]", "expected at most 250,000"),
        ("{", "Expecting"),
        ("", "Expecting"),
        ("1" * 5000, "4300 digits"),
    ],
    ids=["twice", "twice within", "deep", "deeper", "many", "cut", "empty", "long number"],
)
def test_json_out_of_bounds_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        json_values(text)


class Counted(str):
    """A key that counts how often it is compared."""

    __slots__ = ()
    num_compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.num_compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_key_that_stands_twice_is_found_without_comparing_each_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def counting(text: str, object_pairs_hook: Callable[[list[tuple[str, object]]], object]) -> object:
        return read(text, object_pairs_hook=lambda pairs: object_pairs_hook([(Counted(k), v) for k, v in pairs]))

    read = json.loads
    monkeypatch.setattr(untrusted.json, "loads", counting)
    monkeypatch.setattr(Counted, "num_compared", 0)
    many = 2_000
    with pytest.raises(ValueError, match=f"the key '{many - 1}' stands in it twice"):
        json_values("{" + ",".join(f'"{each}": 0' for each in [*range(many), many - 1]) + "}")
    assert Counted.num_compared < 10 * many


@settings(max_examples=100, deadline=None)
@given(keys=st.lists(st.sampled_from("abcdefgh"), max_size=8))
def test_of_keys_that_stand_twice_the_first_one_is_named(keys: list[str]) -> None:
    text = "{" + ",".join(f'"{key}": {place}' for place, key in enumerate(keys)) + "}"
    twice = [key for place, key in enumerate(keys) if key in keys[:place]]
    if not twice:
        assert json_values(text) == {key: place for place, key in enumerate(keys)}
        return
    with pytest.raises(ValueError, match=f"the key '{twice[0]}' stands in it twice"):
        json_values(text)


def test_json_at_the_bounds_is_read() -> None:
    assert json_values("[" * 32 + "]" * 32)
    assert len(json_values("[1" + ",1" * (untrusted.MOST_JSON_VALUES - 3) + "]")) == untrusted.MOST_JSON_VALUES - 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (".".join("a" * 18) + " = 1", "more than 16 parts"),
        (".".join(['"a"'] * 18) + " = 1", "more than 16 parts"),
        ("[" + " . ".join("a" * 18) + "]", "more than 16 parts"),
        ("a = " + "[" * 33, "nested more than 32 deep"),
        ("a = 1\na = 2", "Cannot overwrite a value"),
        ("a = ", "Invalid value"),
    ],
    ids=["long key", "long quoted key", "long table", "deep", "twice", "cut"],
)
def test_toml_out_of_bounds_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ValueError, match=words):
        toml_in(tmp_path / "a.toml")


def test_toml_at_the_bounds_is_read(tmp_path: Path) -> None:
    dots, brackets = ".".join("a" * 60), "[" * 60
    text = f'{".".join("a" * 16)} = 1\nb = \'{dots}\'  # {dots} {brackets} "\nc = "{brackets}"\n'
    (tmp_path / "a.toml").write_text(text)
    assert toml_in(tmp_path / "a.toml") == tomllib.loads(text)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(ValueError, match="it is no file"):
            content_of(path, 10)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(ValueError, match="1,000,000,000,000 bytes, expected at most 16,000,000"):
        json_in(tmp_path / "large.json")
