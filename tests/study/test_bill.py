"""What a study will take: what was trained before costs nothing, and what is missing is counted once."""

from __future__ import annotations

from pathlib import Path

import pytest

from small_square import SMALL, small_pictures
from whyconv.errors import StorageError
from whyconv.results import CORNERS, Event, Note, SquareProtocol
from whyconv.show.text import note_lines
from whyconv.study import KeptTrials, kept_trials, make_study, measure_square, predict_seconds
from whyconv.study.bill import left_to_train, tell_bill, tell_left_out
from whyconv.study.protocol import Training, needed_trainings
from whyconv.study.trials import Job, Settings
from whyconv.study.tuning import wide_jobs
from whyconv.texts import say

SHORT = SMALL.model_copy(update={"steps": 3, "controlled": []})
LONGER = SHORT.model_copy(update={"arms": ["normalized"]})


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeptTrials:
    """After a whole study without the arm with normalization."""
    path = tmp_path_factory.mktemp("kept") / "trials.jsonl"
    measure_square(small_pictures(), SHORT, kept=KeptTrials(path, "pictures"))
    return KeptTrials(path, "pictures")


def num_tried(protocol: SquareProtocol) -> int:
    return sum(len(job.settings) * len(job.draws) for job in wide_jobs(protocol, protocol.learning_rates))


def test_where_nothing_is_kept_everything_is_left() -> None:
    left = left_to_train(SHORT, KeptTrials(None, ""))
    assert [job.training for job in left.final] == needed_trainings(SHORT)
    assert (left.num_tuning, left.num_kept) == (num_tried(SHORT), 0)


def test_where_all_is_kept_nothing_is_left(kept: KeptTrials) -> None:
    left = left_to_train(SHORT, kept)
    assert (left.tuning, left.final, left.may_extend) == ([], [], False)
    assert left.num_kept == num_tried(SHORT) + len(needed_trainings(SHORT)) * SHORT.num_draws


def test_of_a_longer_study_only_what_is_new_is_left(kept: KeptTrials) -> None:
    left = left_to_train(LONGER, kept)
    assert {job.training.arm for job in [*left.final, *left.tuning]} == {"normalized"}
    assert left.num_tuning == num_tried(LONGER) - num_tried(SHORT)
    new = [one for one in needed_trainings(LONGER) if one.arm == "normalized"]
    assert [job.training for job in left.final] == new


def test_results_of_other_steps_or_pictures_are_not_counted(kept: KeptTrials) -> None:
    assert left_to_train(SHORT.model_copy(update={"steps": 4}), kept).num_kept == 0
    assert left_to_train(SHORT, KeptTrials(None, "other pictures")).num_kept == 0


def test_kept_results_are_found_again_and_those_of_another_training_are_not() -> None:
    """Where training comes out otherwise: raise ``_TRAINING``, and write its number, the losses and the key anew."""
    study = make_study(small_pictures(), SHORT)
    settings = (Settings(0.02, 0.01),)
    jobs = {corner: Job(Training(corner, "moved", None, 60), settings, (0,), is_final=True) for corner in CORNERS}
    losses = {corner: study.run(job).glances[0][-1].kept_loss for corner, job in jobs.items()}
    assert losses == pytest.approx(
        {"dense": 0.8876, "local": 0.8317, "shared_global": 0.1288, "convolution": 1.652}, rel=0.01
    )
    assert kept_trials._TRAINING == 3
    key = "ddf2c73f9bc6758bd699b861508d176c26148f065e519c385a4fd0117cd07c31"
    assert KeptTrials(None, "pictures")._key(SHORT, jobs["convolution"]) == key


@pytest.mark.parametrize(("place", "words"), [("afile/trials.jsonl", "written: Not a dir"), (".", "read: it is no")])
def test_results_that_cannot_be_kept_are_refused_before_anything_is_trained(
    place: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "afile").write_text("a file, not a folder")
    with pytest.raises(StorageError, match=f"cannot be {words}"):
        KeptTrials(tmp_path / place, "pictures")


def test_a_result_that_is_not_taken_is_said_and_asking_alone_makes_no_file(kept: KeptTrials, tmp_path: Path) -> None:
    job = wide_jobs(SHORT, SHORT.learning_rates)[0]
    result = kept.get(SHORT, job)
    assert result is not None
    (tmp_path / "run").mkdir()
    new = KeptTrials(tmp_path / "run" / "trials.jsonl", "pictures")
    (tmp_path / "run").rmdir()
    with pytest.raises(StorageError, match=r"trials\.jsonl cannot be written: No such file or directory\."):
        new.put(SHORT, job, result)


def test_what_is_kept_is_predicted_to_take_no_time(kept: KeptTrials) -> None:
    study = make_study(small_pictures(), LONGER)
    nothing = KeptTrials(None, "")
    anew, rest = (predict_seconds(study, one) for one in (nothing, kept))
    assert rest(SHORT) < anew(SHORT)
    assert rest(SHORT) < rest(LONGER)


def test_the_bill_says_what_is_left_and_what_is_kept(kept: KeptTrials) -> None:
    told: list[Note] = []
    tell_bill(LONGER, kept, 12.4, lambda event: told.append(event) if isinstance(event, Note) else None)
    new = [one for one in needed_trainings(LONGER) if one.arm == "normalized"]
    assert [one.key for one in told] == ["square_plan", "square_kept"]
    assert told[0].values["final"] == len(new) * LONGER.num_draws
    assert told[0].values["seconds"] == 12
    assert told[1].values["n"] == left_to_train(SHORT, kept).num_kept


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("names", [["decays"], ["rates", "decays", "shifts"]])
def test_what_is_left_out_is_named_beforehand(names: list[str], language: str) -> None:
    told: list[Note] = []
    tell_left_out(names, lambda event: told.append(event) if isinstance(event, Note) else None)
    assert [one.key for one in told] == ["why_left_out", "why_left_out_parts"]
    said = " ".join(line.strip() for line in note_lines(told[1], language))
    parts = ", ".join(say(f"why_part_{name}", language) for name in names)
    assert said == say("why_left_out_parts", language, parts=parts)
    # As it comes back from JSON.
    assert note_lines(Note.model_validate_json(told[1].model_dump_json()), language) == note_lines(told[1], language)


def test_where_nothing_is_left_out_nothing_is_said() -> None:
    told: list[Event] = []
    tell_left_out([], told.append)
    assert told == []


def test_extensions_that_may_come_are_billed_once(tmp_path: Path) -> None:
    may = SHORT.model_copy(update={"most_extensions": 2})
    assert left_to_train(may, KeptTrials(None, "")).may_extend
    kept = KeptTrials(tmp_path / "trials.jsonl", "pictures")
    measure_square(small_pictures(), may, kept=kept)
    left = left_to_train(may, kept)
    assert (left.tuning, left.final, left.may_extend) == ([], [], False)


def test_what_may_have_to_go_on_is_billed_as_if_it_had_to() -> None:
    nothing = KeptTrials(None, "")
    longer = SHORT.model_copy(update={"steps": 3000, "most_times": 3})
    left = left_to_train(longer, nothing)
    lengths = {(job.training.corner, job.training.place, job.times) for job in left.final}
    assert {("convolution", "still", 3), ("dense", "moved", 3), ("dense", "still", 1)} <= lengths
    assert ("dense", "still", 3) not in lengths
    predict = predict_seconds(make_study(small_pictures(), longer), nothing)
    # Two of six kinds of trainings stay as they are, the other four take four times the steps: 3 times as long, about.
    assert predict(longer) > 2 * predict(longer.model_copy(update={"most_times": 1}))


def test_answers_averaged_over_shifts_are_in_the_bill() -> None:
    nothing, study = KeptTrials(None, ""), make_study(small_pictures(), SHORT.model_copy(update={"shift": 4}))
    shifts = study.protocol.model_copy(update={"arms": ["shifts"]})
    still = left_to_train(shifts, nothing)
    num_asked = sum(len(job.draws) * len(job.settings) for job in still.final if job.training.arm == "shifts")
    assert num_asked == 4 * 2 * SHORT.num_draws
    # Of 3 steps each, and 81 looks at 40 pictures: the looks are nearly all of it, but for a second of its own.
    predict = predict_seconds(study, nothing)
    assert predict(shifts) - 1 > 3 * (predict(study.protocol) - 1)


def test_a_line_that_was_cut_costs_one_result(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    measure_square(small_pictures(), SHORT, kept=KeptTrials(path, "pictures"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][: len(lines[3]) // 2])
    measure_square(small_pictures(), SHORT, kept=KeptTrials(path, "pictures"))
    left = left_to_train(SHORT, KeptTrials(path, "pictures"))
    assert (left.tuning, left.final) == ([], [])


def test_no_bill_says_at_most_for_more_may_have_to_be_trained() -> None:
    told: list[Note] = []
    longer = SHORT.model_copy(update={"most_times": 3, "most_extensions": 1})
    tell_bill(longer, KeptTrials(None, ""), 12.4, lambda event: told.append(event) if isinstance(event, Note) else None)
    text = say(told[0].key, "en", **told[0].values)
    assert f"About {told[0].values['tuned']:,} networks choose settings, about {told[0].values['final']:,} give" in text
    assert "About 12 s here" in text
    assert "t most" not in text
    korean = say(told[0].key, "ko", **told[0].values)
    assert (korean.count("약"), "최대" in korean, "길어야" in korean) == (3, False, False)
