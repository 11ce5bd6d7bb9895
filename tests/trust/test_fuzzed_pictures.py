"""A million files damaged in every way, through the one decode path: a picture or a reason, quickly, quietly, twice."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from fuzzing import MOST_BYTES, MOST_SECONDS, PIECE, fuzz, summary
from mutations import mutant
from valid_pictures import valid_pictures
from whyconv.images.decode import decode
from whyconv.images.formats import _SIGNATURES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")


def assert_all_well(folder: Path, source: str, seed: int, last: int, workers: int = 1) -> None:
    found = summary(list(fuzz(folder, source, seed, 0, last, workers)))
    assert found["wrong"] == []
    assert found["num"] == last
    assert found["most_seconds"] <= MOST_SECONDS
    assert found["most_bytes"] <= MOST_BYTES
    # The damage is of every depth: much of it is read, and what is not has many reasons.
    assert 0.2 < found["num_read"] / found["num"] < 0.8
    assert len(found["reasons"]) > 30


def test_there_is_a_valid_file_of_every_format_that_is_read() -> None:
    pictures = valid_pictures()
    found = Counter(decode(content).facts.format for content in pictures.values())
    assert {name.split()[0] for name in pictures} == set(found)
    assert {name for name, _ in _SIGNATURES} | {"tga"} == set(found)


def test_a_mutant_is_the_same_every_time_and_another_than_its_neighbors() -> None:
    files = list(valid_pictures().values())
    mutants = [mutant(files, 1, number) for number in range(300)]
    assert mutants == [mutant(files, 1, number) for number in range(300)]
    assert len(set(mutants)) > 290
    assert len(set(mutants) & set(files)) < 15


def test_seven_thousand_mutants_of_every_format_do_no_harm(tmp_path: Path) -> None:
    assert_all_well(tmp_path, "made", seed=1, last=7_000)


def test_three_thousand_mutants_of_odd_and_broken_files_do_no_harm(tmp_path: Path, shared_data) -> None:
    assert_all_well(tmp_path, str(shared_data("zoo")), seed=1, last=3_000)


@pytest.mark.long
@pytest.mark.parametrize(("source", "num"), [("made", 700_000), ("zoo", 300_000)])
def test_a_million_mutants_do_no_harm(tmp_path: Path, shared_data, source: str, num: int) -> None:
    """With WHYCONV_FUZZ=FOLDER what was decoded there before is not decoded again."""
    folder = Path(os.environ.get("WHYCONV_FUZZ", tmp_path))
    source = source if source == "made" else str(shared_data("zoo"))
    assert num % PIECE == 0
    assert_all_well(folder, source, seed=2, last=num)
