"""Pieces of many pictures: each picture in one of them, and a folder of answers goes on with its own plan only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tiny_model import write_model
from whyconv.cluster import predicting
from whyconv.cluster.pieces import PLAN, RECOGNIZER, PiecesPlan, begin, missing_pieces, piece_path, plan_for
from whyconv.errors import DataError, NewerFormatError, UsageError
from whyconv.recognizer import open_recognizer

PATHS = [f"/pictures/{number}.png" for number in range(100)]
MODEL = b"a recognizer"


def planned(paths: list[str] = PATHS, *, batch: int = 8, top: int = 3) -> PiecesPlan:
    return plan_for(MODEL, paths, batch=batch, top=top, sets=None)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100, 5000, 100_000])
@pytest.mark.parametrize("batch", [1, 32, 3000])
def test_every_picture_is_in_one_piece_and_pieces_are_whole_batches(count: int, batch: int) -> None:
    paths = [str(number) for number in range(count)]
    plan = planned(paths, batch=batch)
    pieces = [paths[plan.rows(piece)] for piece in range(plan.num_pieces)]
    assert [path for piece in pieces for path in piece] == paths
    assert all(pieces)
    assert plan.in_piece % batch == 0
    assert plan.in_piece <= max(1024, batch)


def test_paths_are_those_that_were_given_in_the_folder_where_they_were(tmp_path: Path) -> None:
    plans = [
        plan_for(MODEL, paths, batch=8, top=3, sets=None, around=around)
        for paths, around in ((["a.png"], "/one"), (["a.png"], "/two"), (["/one/a.png"], "/one"), (["./a.png"], "/one"))
    ]
    assert len({plan.pictures for plan in plans}) == 4
    assert plans[2] == plan_for(MODEL, ["/one/a.png"], batch=8, top=3, sets=None, around="/two")


def test_a_new_folder_gets_the_plan_and_the_recognizer(tmp_path: Path) -> None:
    plan = begin(tmp_path / "out", planned(), MODEL)
    assert plan == planned()
    assert (tmp_path / "out" / RECOGNIZER).read_bytes() == MODEL
    assert missing_pieces(tmp_path / "out", plan) == list(range(plan.num_pieces))


def test_it_goes_on_with_pieces_of_the_size_they_had(tmp_path: Path) -> None:
    first = begin(tmp_path, planned().model_copy(update={"in_piece": 24}), MODEL)
    piece_path(tmp_path, 1).touch()
    again = begin(tmp_path, planned(), MODEL)
    assert planned().in_piece != first.in_piece
    assert again == first
    assert 1 not in missing_pieces(tmp_path, again)


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (planned(PATHS[1:]), "another list of pictures"),
        (planned(PATHS[::-1]), "another list of pictures"),
        (planned(top=1), "another --top"),
        (planned(batch=16), "another --batch"),
        (plan_for(b"other", PATHS, batch=8, top=3, sets=0.95), "another recognizer, another --sets"),
    ],
)
def test_answers_of_something_else_are_not_mixed_in(tmp_path: Path, wanted: PiecesPlan, named: str) -> None:
    begin(tmp_path, planned(), MODEL)
    with pytest.raises(UsageError, match=named):
        begin(tmp_path, wanted, MODEL)


def test_a_command_that_began_at_the_same_moment_is_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = planned(PATHS[1:])

    @contextmanager
    def held(folder: Path, *_: object, **__: object) -> Iterator[None]:
        (folder / PLAN).write_text(other.model_dump_json())
        yield

    monkeypatch.setattr(predicting, "sole_writer", held)
    recognizer = open_recognizer(write_model(tmp_path / "colors.onnx"))
    with pytest.raises(UsageError, match="another list of pictures"):
        predicting.predict_on_cluster(recognizer, [tmp_path / "colors.onnx"], tmp_path / "out", cluster="local")


def test_the_recognizer_is_that_of_the_plan(tmp_path: Path) -> None:
    begin(tmp_path, planned(), MODEL)
    (tmp_path / RECOGNIZER).write_bytes(b"of another command")
    begin(tmp_path, planned(), MODEL)
    assert (tmp_path / RECOGNIZER).read_bytes() == MODEL


def test_a_folder_whose_recognizer_is_missing_gets_it(tmp_path: Path) -> None:
    """A kill may come between the two files."""
    begin(tmp_path, planned(), MODEL)
    (tmp_path / RECOGNIZER).unlink()
    begin(tmp_path, planned(), MODEL)
    assert (tmp_path / RECOGNIZER).read_bytes() == MODEL


def test_what_a_killed_command_was_writing_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / f".{PLAN}.abc.part").write_text("{", encoding="utf-8")
    assert begin(tmp_path, planned(), MODEL) == planned()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").touch()
    with pytest.raises(UsageError, match="not empty"):
        begin(tmp_path, planned(), MODEL)
    assert [each.name for each in tmp_path.iterdir()] == ["holiday.png"]


def _cut(text: str) -> str:
    return text[:40]


def _newer(text: str) -> str:
    return text.replace('"format": 1', '"format": 2')


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [(_cut, DataError, "damaged"), (_newer, NewerFormatError, "format 2")],
)
def test_a_plan_that_cannot_be_followed_is_named(
    tmp_path: Path, change: Callable[[str], str], error: type[Exception], named: str
) -> None:
    begin(tmp_path, planned(), MODEL)
    path = tmp_path / PLAN
    path.write_text(change(path.read_text()))
    with pytest.raises(error, match=named):
        begin(tmp_path, planned(), MODEL)
