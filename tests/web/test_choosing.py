"""How the network is run is tried in turn: no more sessions at once than cores, and one copy of the file."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest

from whyconv import recognizer as opening
from whyconv.web import choosing

CORES = 4
ONE, MANY = (1, CORES), (CORES, 1)  # sessions, threads of each


class Watched:
    """The sessions that are opened: how many live at once, and what they are made of."""

    def __init__(self) -> None:
        self.living: weakref.WeakSet[Any] = weakref.WeakSet()
        self.contents: set[int] = set()
        self.most = 0

    def open(self, content: bytes, num_threads: int, where: str) -> Any:
        session = open_session(content, num_threads, where)
        self.living.add(session)
        self.contents.add(id(content))
        self.most = max(self.most, len(self.living))
        return session


open_session = opening.open_session


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    found = Watched()
    monkeypatch.setattr(choosing, "num_cores", lambda: CORES)
    monkeypatch.setattr(opening, "open_session", found.open)
    return found


def pretend(monkeypatch: pytest.MonkeyPatch, quickest: tuple[int, int]) -> None:
    """Makes one way of running the network the quickest."""

    def rate(recognizers: Any, batch: int, seconds: float) -> float:
        del seconds
        return (100.0 if (len(recognizers), recognizers[0].num_threads) == quickest else 50.0) + batch

    monkeypatch.setattr(choosing, "_rate", rate)


@pytest.mark.parametrize("quickest", [ONE, MANY])
def test_ways_are_tried_in_turn_over_one_copy_of_the_file(
    model: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch, quickest: tuple[int, int]
) -> None:
    pretend(monkeypatch, quickest)
    choice = choosing.choose(model)
    assert (len(choice.recognizers), choice.num_threads, choice.most_at_once) == (*quickest, 32)
    assert {one.num_threads for one in choice.recognizers} == {choice.num_threads}
    assert set(choice.rates) == {(*way, batch) for way in (ONE, MANY) for batch in (8, 32)}
    assert (watched.most, len(watched.living), len(watched.contents)) == (CORES, quickest[0], 1)
    assert {(one.where, id(one.content)) for one in choice.recognizers} == {(str(model), watched.contents.pop())}


@pytest.mark.parametrize(("memory", "is_tried"), [(None, True), (16, True), (15, False)])
def test_a_session_a_core_is_not_tried_where_it_takes_over_a_quarter_of_the_memory(
    model: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch, memory: int | None, is_tried: bool
) -> None:
    size = model.stat().st_size
    monkeypatch.setattr(choosing, "memory_bytes", lambda: None if memory is None else memory * size, raising=False)
    pretend(monkeypatch, MANY)
    choice = choosing.choose(model)
    assert (len(choice.recognizers), choice.num_threads) == (MANY if is_tried else ONE)
    assert watched.most == (CORES if is_tried else 1)


def test_what_is_chosen_answers(model: Path, watched: Watched) -> None:
    choice = choosing.choose(model, seconds=0.01)
    assert len(watched.living) == len(choice.recognizers)
    assert min(choice.rates.values()) > 0
