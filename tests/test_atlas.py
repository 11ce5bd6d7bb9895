"""The atlas from pictures to record and figure: what is measured, what is skipped, what is not measured twice."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pytest

from made_up_atlas import made_up_atlas, made_up_set
from small_square import SMALL, small_pictures
from tiny_training import tiny_plan, write_bars
from whyconv import atlas as atlases
from whyconv.atlas import Reading, one_set
from whyconv.errors import DataError, StoppedError, StorageError, UsageError
from whyconv.report import atlas_section, with_atlas
from whyconv.report.page import WHY_BEGINS, WHY_ENDS
from whyconv.results import CORNERS, PLACES, Event
from whyconv.results.atlas import Atlas, AtlasSet
from whyconv.results.why import Question, Why
from whyconv.show.atlas import atlas_lines
from whyconv.study import AT_LARGEST_SIZE, largest_fitting, measure_square
from whyconv.study.protocol import Extent

LEAST = Extent(1, (0.05, 0.3), steps=3)


@pytest.fixture(autouse=True)
def least(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(one_set, "AT_LARGEST_SIZE", (LEAST,))


def keys(told: list[Event]) -> list[str]:
    return [name for event in told if (name := getattr(event, "key", ""))]


def test_one_set_that_cannot_be_read_is_told_and_the_other_is_measured(tmp_path: Path) -> None:
    bars = write_bars(tmp_path / "bars", n=120)
    (tmp_path / "nothing").mkdir()
    told: list[Event] = []
    folder = tmp_path / "atlas"
    atlas = atlases.measure_atlas([str(tmp_path / "nothing"), f"막대={bars}"], folder, told.append, minutes=0.1)
    assert [one.name for one in atlas.sets] == ["막대"]
    assert [one.name for one in atlas.skipped] == ["nothing"]
    assert "atlas_skipped" in keys(told)
    assert Atlas.model_validate_json((folder / "atlas.json").read_bytes()) == atlas
    assert "막대" in (folder / "atlas.svg").read_text(encoding="utf-8")
    (found,) = atlas.sets
    assert (found.num_classes, found.protocol.side, found.protocol.channels) == (2, 8, 1)
    assert found.n_train <= found.num_train < 120
    assert found.learning_rates == [0.05, 0.3]
    assert 0.4 < found.largest_class_fraction < 0.7
    for place in PLACES:
        split, accuracy = found.split(place), {corner: found.accuracy(corner, place).value for corner in CORNERS}
        assert split.gain.value == pytest.approx(accuracy["convolution"] - accuracy["dense"], abs=1e-12)
        assert split.locality.value + split.sharing.value == pytest.approx(split.gain.value, abs=1e-12)
    assert any("nothing" in line for line in atlas_lines(atlas, "ko"))


def test_the_digits_that_come_along_stand_beside_sets_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = write_bars(tmp_path / "bars", n=120)
    monkeypatch.chdir(tmp_path)
    found = atlases.measure_atlas([str(bars), "digits@8"], tmp_path / "atlas", lambda event: None)
    assert [(one.name, one.num_classes, one.protocol.side) for one in found.sets] == [("bars", 2, 8), ("digits", 10, 8)]
    # A folder of that name is what was asked for.
    bars.rename(tmp_path / "digits")
    again = atlases.measure_atlas(["digits"], tmp_path / "atlas", lambda event: None)
    assert [(one.name, one.num_classes) for one in again.sets] == [("digits", 2)]


def test_no_set_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"None of the 1 set\(s\)"):
        atlases.measure_atlas([str(tmp_path / "nothing")], tmp_path / "atlas", lambda event: None)


def test_a_word_that_is_wrong_costs_no_atlas_that_was_measured(tmp_path: Path) -> None:
    kept = {"atlas.json": made_up_atlas().model_dump_json(), "atlas.svg": "<svg/>"}
    for name, content in kept.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError):
        atlases.measure_atlas([str(tmp_path / "digts")], tmp_path, lambda event: None)
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in kept} == kept
    with pytest.raises(DataError):
        atlases.measure_atlas([str(tmp_path / "digts")], tmp_path / "new", lambda event: None)
    assert not (tmp_path / "new" / "atlas.json").exists()


@pytest.mark.parametrize(("file", "out"), [("out", "out"), ("out", "out/atlas"), ("out/sets", "out")])
def test_a_folder_that_cannot_be_had_is_told_before_any_set_is_read(tmp_path: Path, file: str, out: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    folder, told = tmp_path / out, list[Event]()
    with pytest.raises(StorageError, match=rf"No atlas can be made in {folder}: .*\. Name another with --out\.$"):
        atlases.measure_atlas([str(tmp_path / "bars")], folder, told.append)
    assert not told


def test_a_folder_that_takes_no_files_is_told_before_any_set_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**named: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    told: list[Event] = []
    with pytest.raises(StorageError, match=r"No atlas can be made in .*: Permission denied\. Name another with --out"):
        atlases.measure_atlas([str(tmp_path / "bars")], tmp_path, told.append)
    assert not told


def test_what_was_trained_before_a_stop_is_not_trained_again_nor_decided_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars, folder = str(write_bars(tmp_path / "bars", n=120)), tmp_path / "atlas"
    real, steps = one_set.measure_square, []

    def stopped(*given: object, **named: object) -> None:
        real(*given, **named)  # type: ignore[arg-type]
        raise StoppedError("Stopped.")

    monkeypatch.setattr(one_set, "measure_square", stopped)
    with pytest.raises(StoppedError):
        atlases.measure_atlas([bars], folder, lambda event: None)
    spent = [one_set.Piece.model_validate_json(path.read_bytes()) for path in (folder / "sets").glob("*.json")]
    assert [(one.square, one.seconds > 0) for one in spent] == [(None, True)]
    monkeypatch.setattr(one_set, "measure_square", real)
    # Another machine's minute: what was settled on stays.
    monkeypatch.setattr(one_set, "largest_fitting", None)
    atlas = atlases.measure_atlas([bars], folder, lambda event: steps.append(getattr(event, "stage", "")))
    assert not {"square", "square_tuning"} & set(steps)
    assert atlas.sets[0].seconds > spent[0].seconds
    # And once more: nothing is measured.
    monkeypatch.setattr(one_set, "measure_square", None)
    told: list[Event] = []
    assert atlases.measure_atlas([bars], folder, told.append).sets == atlas.sets
    assert "atlas_saved" in keys(told)
    with pytest.raises(TypeError):  # another seed is another question
        atlases.measure_atlas([bars], folder, told.append, seed=1)


def test_sets_are_named_by_their_last_part_or_as_asked(tmp_path: Path) -> None:
    (tmp_path / "cats.v2").mkdir()
    (tmp_path / "a=b").mkdir()
    asked = [str(tmp_path / "cats.v2"), f"{tmp_path}/faces.npz", "cats=x/y=z", str(tmp_path / "a=b")]
    found = atlases.name_places(asked)
    assert [one.name for one in found] == ["cats.v2", "faces", "cats", "a=b"]
    assert [one.where for one in found] == [asked[0], asked[1], "x/y=z", asked[3]]
    assert {one.side for one in found} == {None}
    with pytest.raises(UsageError, match="Two sets are called cats"):
        atlases.name_places(["a/cats", "b/cats.npz"])
    for second in ("b/cats@16", "b/cats"):
        with pytest.raises(UsageError) as refused:
            atlases.name_places(["b/cats@8", second])
        hint = str(refused.value).split()[-1]
        assert hint == f"cats-2={second}"
        assert atlases.name_places([hint])[0].side == atlases.name_places([second])[0].side


def test_a_set_can_have_a_side_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "b@8").mkdir()
    asked = ["photos=a/photos@32", f"{tmp_path}/b@8", f"{tmp_path}/c@x", "d.npz@16"]
    found = [tuple(one) for one in atlases.name_places(asked)]
    assert found == [
        ("photos", "a/photos", 32),
        ("b@8", f"{tmp_path}/b@8", None),
        ("c@x", f"{tmp_path}/c@x", None),
        ("d", "d.npz", 16),
    ]
    with pytest.raises(UsageError, match="side = 20: expected 8, 16 or 32"):
        atlases.measure_atlas(["photos=a/photos@20"], tmp_path, lambda event: None)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as mistakes:
        atlases.measure_atlas([], tmp_path, lambda event: None, side=12, minutes=-1.0, seed=-3, reading=Reading("fold"))
    for word in (
        "4 mistake(s)",
        "side = 12",
        "minutes = -1",
        "seed = -3",
        "layout = fold: expected one of auto, folders",
    ):
        assert word in str(mistakes.value)
    assert not list(tmp_path.glob("digits"))


def test_an_atlas_is_found_by_its_folder_or_its_file(tmp_path: Path) -> None:
    (tmp_path / "atlas.json").write_text(made_up_atlas().model_dump_json(), encoding="utf-8")
    assert atlases.read_atlas(tmp_path) == atlases.read_atlas(tmp_path / "atlas.json") == made_up_atlas()
    with pytest.raises(UsageError, match="There is no atlas at"):
        atlases.read_atlas(tmp_path / "elsewhere")
    (tmp_path / "atlas.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="is no atlas of this version"):
        atlases.read_atlas(tmp_path)
    (tmp_path / "atlas.json").write_text(made_up_atlas().model_copy(update={"sets": []}).model_dump_json())
    with pytest.raises(UsageError, match="holds no set that was measured"):
        atlases.read_atlas(tmp_path)


def test_a_run_is_added_and_the_atlas_stays_as_it_is(tmp_path: Path) -> None:
    run = tmp_path / "pets-1"
    run.mkdir()
    own: AtlasSet = made_up_set("pets-1", side=16)
    path = atlases.add_run(run, made_up_atlas(), own, "en")
    assert path == run / "atlas.svg"
    assert path.read_text(encoding="utf-8").count(">pets-1</text>") == 2
    assert [one.name for one in made_up_atlas().sets] == ["digits"]


def test_a_report_has_the_atlas_in_its_own_language_and_one_without_a_place_stays_as_it_is(tmp_path: Path) -> None:
    report, own = tmp_path / "report.html", made_up_set("pets-1")
    page = f'<html lang="ko">{WHY_BEGINS}<p>measured</p>{WHY_ENDS}</html>'
    for text in (None, "<html>by hand</html>", page):
        if text is not None:
            report.write_text(text, encoding="utf-8")
        assert atlases.add_to_report(report, made_up_atlas(), own) == (text == page)
        assert report.exists() == (text is not None)
        if text != page:
            assert text is None or report.read_text(encoding="utf-8") == text
    filled = report.read_text(encoding="utf-8")
    assert filled == with_atlas(page, atlas_section(made_up_atlas(), own, "ko"))
    assert "변수 공유로 얻은" in filled
    report.write_bytes(b"\xff")
    assert not atlases.add_to_report(report, made_up_atlas(), own)


def test_lines_say_who_wins_and_who_loses_as_plainly() -> None:
    sets = [made_up_set("digits", (-5.0, -20.0)), made_up_set("꽃", (8.0, 4.0)), made_up_set("even", (1.0, -1.0))]
    lines = atlas_lines(made_up_atlas(*sets), "en")
    assert [line.strip() for line in lines if "on:" in line] == [
        "The convolution gains on: 꽃.",
        "The convolution loses on: digits.",
        "No difference can be told on: even.",
        "The convolution gains on: digits, 꽃, even.",
    ]
    row = next(line for line in lines if line.strip().startswith("digits") and "±" in line)
    assert row.split() == ["digits", "-5.0", "±", "2.0", "-20.0", "±", "2.0", "-25.0", "±", "2.0"]
    assert max(len(line) for line in lines) <= 80
    assert "이동한 이미지: 완전 연결 대비 %p" in atlas_lines(made_up_atlas(*sets), "ko")


def test_a_run_becomes_a_set_with_its_own_counts() -> None:
    square = measure_square(small_pictures(), SMALL.model_copy(update={"steps": 3}))
    question = Question(side=8, minutes=None, seed=0)
    why = Why(run="bars-1", digest="", version="", question=question, square=square, seconds=1.0)
    own = atlases.own_set(Path("runs/bars-1"), tiny_plan(), why)
    assert (own.name, own.num_train, own.num_classes, own.n_train, own.num_test) == ("bars-1", 64, 2, 60, 40)
    assert own.split("moved").gain == square.split("moved").gain


def test_minutes_go_into_settings_and_steps_of_the_largest_size() -> None:
    seconds = {extent: 10.0 * (place + 1) for place, extent in enumerate(AT_LARGEST_SIZE)}
    found = [largest_fitting(AT_LARGEST_SIZE, lambda one: seconds[one], limit) for limit in (1, 10, 25, 39, 100)]
    assert found == [AT_LARGEST_SIZE[place] for place in (0, 0, 1, 2, 5)]
    assert {(one.num_sizes, one.controlled, one.arms) for one in found} == {(1, (), ())}
    tried = [len(one.learning_rates) * len(one.decays) * one.steps * one.most_times for one in AT_LARGEST_SIZE]
    assert tried == sorted(tried)


def test_settings_are_counted_with_the_rates_beyond_the_ends() -> None:
    plain = made_up_set("digits")
    rates, decays = plain.protocol.learning_rates, plain.protocol.decays
    assert plain.num_settings == len(rates) * len(decays)
    beyond = plain.model_copy(update={"learning_rates": [*rates, 2 * rates[-1]]})
    assert beyond.num_settings == plain.num_settings + len(decays)
