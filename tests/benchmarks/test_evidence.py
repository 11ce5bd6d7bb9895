"""The page of evidence: what its tables say is what was measured, and what was stopped goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from evidencing.markdown import percent, points
from evidencing.sets import few_of, ready
from evidencing.tables import tables

import evidence
from evidence import heading, put_into
from made_up_why import TARGETS, whole_why
from whyconv.results import CORNERS, Estimate
from whyconv.results.numbers import crossing_number


def row(text: str, *beginning: str) -> list[str]:
    """The cells of the one row that begins so."""
    found = [line for line in text.splitlines() if line.startswith(f"| {' | '.join(beginning)} |")]
    assert len(found) == 1
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def test_every_accuracy_and_gain_stands_in_its_row() -> None:
    square, text = whole_why().square, tables(whole_why()).partition("The same networks")[0]
    for split in square.splits:
        if split.arm != "plain":
            continue
        cells = row(text, {"still": "as they are", "moved": "moved"}[split.place], f"{split.n_train:,}")
        dense = square.score("dense", split.place, split.n_train)
        assert cells[2].startswith(f"{100 * dense.accuracy.value:.1f} ({100 * dense.accuracy.low:.1f}-")
        assert cells[2].endswith("*") == (not dense.has_learned)
        assert cells[6].startswith(f"{100 * split.gain.value:+.1f} ({100 * split.gain.low:+.1f} to")
        assert f"{100 * split.sharing_second.value:+.1f} (" in cells[7]
        assert f"{100 * split.locality_second.value:+.1f} (" in cells[8]
        assert cells[9].startswith(f"{100 * split.interaction.value:+.1f} (")
    assert "moved | 12,000" in text
    assert text.count("*") == 3  # two sizes that the moved dense layer did not learn, and what the star means


def test_both_other_stops_stand_beside_the_end_of_every_training() -> None:
    square, text = whole_why().square, tables(whole_why())
    for place, shown in (("still", "as they are"), ("moved", "moved")):
        for n in square.protocol.sizes:
            same, best = row(text, shown, f"{n:,}", "the same steps"), row(text, shown, f"{n:,}", "own best")
            for at, corner in enumerate(CORNERS, 3):
                score = square.score(corner, place, n)
                assert same[at].startswith(f"{100 * score.same_steps_accuracy.value:.1f} (")
                assert best[at].startswith(f"{100 * score.best_accuracy.value:.1f} (")


def test_pictures_needed_settings_and_what_was_not_untied_are_named() -> None:
    why, text = whole_why(), tables(whole_why())
    needed = text.partition("How many times")[0]
    for one in why.square.needed:
        if one.arm == "plain":
            cells = row(needed, {"still": "as they are", "moved": "moved"}[one.place], f"{100 * one.target:.0f} %")
            assert cells[2 + CORNERS.index(one.corner)] == (crossing_number(one.pictures) or "cannot be told")
    assert why.price is not None
    assert why.hyperparameters is not None
    for left in why.price.left_out:
        assert f"{left.layer} (" in text.partition("Convolutions not untied:")[2]
    for score in why.hyperparameters.scores:
        chosen = score.setting
        words = (f"{chosen.kernel}", f"{chosen.stride}", chosen.padding, f"{chosen.filters}", chosen.pooling)
        assert row(text, *words)[7] == f"{score.parameters:,}"


def test_what_cannot_be_asked_of_such_a_run_is_said() -> None:
    why = whole_why().model_copy(update={"price": None, "not_available": {"price": "why_frozen_learned_elsewhere"}})
    assert "Not measured: crop: " in tables(why)
    assert "price: the convolutions of the run have their weights from other pictures" in tables(why)


def test_repetitions_that_were_all_alike_have_no_interval() -> None:
    assert percent(Estimate(value=0.88, low=0.88, high=0.88, n=3)) == "88.0 (3 alike)"
    assert points(Estimate(value=-0.02, low=-0.02, high=-0.02, n=3)) == "-2.0 (3 alike)"


def test_what_is_exact_unreached_or_unknown_is_no_number() -> None:
    text = tables(whole_why())
    assert row(text, "moved", "signs")[2] == "0, exactly"
    assert row(text, "moved", f"{100 * TARGETS[2]:.0f} %", "dense / convolution")[3] == "> 4.1"
    assert row(text, "as they are", f"{100 * TARGETS[0]:.0f} %", "dense / convolution")[3] == "cannot be told"
    assert row(text, "as they are", f"{100 * TARGETS[1]:.0f} %", "dense / convolution")[3] == "0.31 (0.2-0.41)"


def test_every_table_has_a_row_and_what_was_left_out_is_named() -> None:
    why = whole_why().model_copy(update={"left_out": ["places"], "failed": {"price": "no time"}})
    text = tables(why)
    tops = [line for line in text.splitlines() if line.startswith("| ---")]
    assert len(tops) == 10
    assert "Left out: places." in text
    assert "; price: no time." in text
    bare = tables(why.model_copy(update={"price": None, "hyperparameters": None, "translation": []}))
    assert sum(line.startswith("| ---") for line in bare.splitlines()) == 6


def test_whether_errors_fall_to_a_floor_is_said() -> None:
    why = whole_why()
    assert "Errors fall as n to minus (no floor assumed): dense 0.41" in tables(why)
    fitted = [one.model_copy(update={"is_floor_fitted": True, "floor": 0.1}) for one in why.square.exponents]
    square = why.square.model_copy(update={"exponents": fitted})
    assert "Errors fall to a floor as n to minus: dense 0.41" in tables(why.model_copy(update={"square": square}))


def test_a_set_keeps_its_place_on_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Evidence\n\nSaid before.\n")
    for name, text in (("a", "one"), ("b", "two"), ("a", "three")):
        put_into(page, name, text)
    found = page.read_text()
    assert found.startswith(
        "# Evidence\n\nSaid before.\n\n<!-- evidence a: begin -->\nthree\n<!-- evidence a: end -->\n"
    )
    assert "one" not in found
    assert found.endswith("\ntwo\n<!-- evidence b: end -->\n")


def test_the_time_is_that_of_all_starts() -> None:
    text = heading("digits", whole_why(), [{"seconds": 1000.2}, {"seconds": 500.1}], 300)
    assert "`python benchmarks/evidence.py digits --minutes 300`" in text
    assert "1,500 s in 2 commands" in text
    assert "dense 12,345,678" in text


def test_few_of_cifar_are_balanced_real_and_always_the_same() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(10), 300)[rng.permutation(3000)]
    pixels = np.arange(3000).reshape(-1, 1, 1, 1) * np.ones((1, 1, 1, 3), np.int64)
    arrays = {"x_train": pixels, "y_train": labels, "x_test": pixels, "y_test": labels}
    found, again = few_of(arrays), few_of(arrays)
    assert np.bincount(found["y_train"]).tolist() == [236] * 10
    rows = found["x_train"][:, 0, 0, 0]
    assert len(set(rows.tolist())) == 2360
    assert np.array_equal(labels[rows], found["y_train"])
    assert np.array_equal(rows, again["x_train"][:, 0, 0, 0])
    assert found["x_test"].shape[0] == found["y_test"].shape[0] == 2000


def test_a_set_whose_folder_is_missing_is_asked_for(tmp_path: Path) -> None:
    assert ready(tmp_path, "digits", None) is None
    with pytest.raises(FileNotFoundError, match="signs FOLDER"):
        ready(tmp_path, "signs", tmp_path / "none")


def test_one_command_trains_asks_and_writes_and_goes_on_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[list[str]] = []

    def command(words: list[str], cwd: Path, **_: object) -> object:
        said.append(words[3:])
        run = cwd / "runs" / "demo-digits-1"
        run.mkdir(parents=True, exist_ok=True)
        if words[3] == "demo":
            (run / "summary.json").write_text("{}")
        elif len(said) > 2:
            (run / "why.json").write_text(whole_why().model_dump_json())
        return SimpleNamespace(returncode=130 if len(said) == 2 else 0)

    monkeypatch.setattr(evidence, "subprocess", SimpleNamespace(run=command))  # the real ones take an hour
    page = tmp_path / "page.md"
    monkeypatch.setattr(sys, "argv", ["evidence.py", "digits", "--place", str(tmp_path), "--page", str(page)])
    assert evidence.main() == 130
    assert not page.exists()
    assert evidence.main() == 0
    asked = ["why", str(tmp_path / "evidence" / "runs" / "demo-digits-1"), "--minutes", "300"]
    assert said == [["demo"], asked, asked]
    assert "in 3 commands" in page.read_text()
    rows = [json.loads(line) for line in (tmp_path / "evidence" / "digits.jsonl").read_text().splitlines()]
    assert [one["code"] for one in rows] == [0, 130, 0]
