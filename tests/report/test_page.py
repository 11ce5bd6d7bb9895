from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import whyconv
from made_up_run import FLOWERS, KOREAN, check, content, epochs, evaluation, hostile, network
from page_outline import outline
from whyconv import texts
from whyconv.report import ReportContent, write_report
from whyconv.report.card import card
from whyconv.report.page import MOST_ROWS, render
from whyconv.results import Estimate, Note, RunSummary, Suspects, Unreadable
from whyconv.texts import clock


def without_scores(**changes: object) -> RunSummary:
    gone = {"test": None, "validation": None, "parity": None, "suspects": None}
    return content().summary.model_copy(update=gone | changes)


def variants() -> Iterator[ReportContent]:
    """Runs that between them have everything to say."""
    yield content(losses=[1.0, float("nan"), 0.5])
    yield content(network=network(60, unknown=2))
    yield content(network=None, not_counted="the network fails on a picture")
    yield content(losses=[900.0] + [0.5] * 99)
    yield content(tuple(f"class {i}" for i in range(40)))
    yield content(detectors=np.ones((4, 5, 5, 2)), reasons={"side": Note(key="report_about_plan")})
    yield replace(content(), num_other_parameters=336)
    yield ReportContent(run="bare", summary=without_scores())
    yield content(summary=without_scores(validation=evaluation(part="validation")), most_confused=[])
    perfect = evaluation().model_copy(update={"most_confused": [], "surest_wrong": [], "calibration": None})
    off = evaluation().debiased
    assert off is not None
    promised = {"debiased": off.model_copy(update={"value": 0.2}), "sets": None, "acceptance": None}
    yield content(summary=without_scores(test=evaluation().model_copy(update=promised)), most_confused=[])
    yield content(summary=without_scores(test=perfect), most_confused=[])
    clean = Suspects(n=90, num_pictures=95, num_doubted=0, num_sure=0, first=[])
    yield content(summary=without_scores(suspects=clean), suspects=[])
    wide = Estimate(value=0.3, low=0.1, high=0.5, n=9, over="seeds")
    drawn = wide.model_copy(update={"over": "draws"})
    score = perfect.classes[0].model_copy(update={"recall": None, "precision": None})
    poor = perfect.model_copy(
        update={"accuracy": wide, "balanced_accuracy": drawn, "classes": [score, *perfect.classes[1:]]}
    )
    names = [Unreadable(name=f"{i}.jpg", reason="broken") for i in range(MOST_ROWS + 3)]
    note = Note(key="report_about_plan", level="warning")
    scaled = {"notes": [note], "num_scaled": 1, "num_animated": 1, "unreadable": names}
    yield content(summary=without_scores(test=poor), check=check(**scaled), plan=content().plan | {"flips": False})
    unsure = evaluation().model_copy(update={"num_sure_and_wrong": 0})
    yield content(summary=without_scores(test=unsure), most_confused=[])
    yield content(check=check(unreadable=[], duplicates=[], leaks=[], conflicts=[]))
    leftover = evaluation().model_copy(update={"left_out": names[:1]})
    labels = [key.removeprefix("report_plan_") for key in texts.sentences() if key.startswith("report_plan_")]
    yield content(summary=without_scores(test=leftover), plan=dict.fromkeys(labels, Note(key="report_yes")))


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("names", [FLOWERS, KOREAN, ("a", "b"), tuple(f"class {i}" for i in range(130))])
def test_the_page_nests_and_holds_no_script_and_no_address(names: tuple[str, ...], language: str) -> None:
    html = render(content(names), language)
    tags = outline(html)
    assert not {"script", "iframe", "object", "form"} & {tag for tag, _ in tags}
    for _, attributes in tags:
        assert not [name for name in attributes if name.startswith("on")]
        address = attributes.get("src") or attributes.get("href") or "#"
        assert address.startswith(("#", "data:"))
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in html
    assert "http://" not in html
    assert "https://" not in html
    assert f'<html lang="{language}">' in html


@pytest.mark.parametrize(("seconds", "shown"), [(9.6, "0:10"), (59.4, "0:59"), (59.6, "1:00"), (3751.0, "1:02:31")])
def test_a_time_is_rounded_in_one_way_and_named_for_what_it_covers(seconds: float, shown: str) -> None:
    found = content()
    found = replace(found, summary=found.summary.model_copy(update={"seconds": seconds}))
    (tile,) = re.findall(r"<b>([\d:]+)</b><span>([^<]*measured once[^<]*)</span>", render(found))
    assert tile[0] == shown == clock(seconds)
    assert "training time" not in tile[1]  # reading and scoring are in it
    assert "from the command's start to its scores" in unescape(tile[1])
    assert f"{round(seconds):,} s from the command's start to its scores" in card(found, "en")
    assert f"{round(seconds):,}초" in card(found, "ko")


@pytest.mark.parametrize(("language", "words"), [("en", "other parameters"), ("ko", "그 밖의 매개변수")])
def test_parameters_that_no_layer_has_are_a_row_of_their_own(language: str, words: str) -> None:
    assert words not in render(content(), language)
    page = render(replace(content(), num_other_parameters=12_345), language)
    assert re.search(rf"<th scope=\"row\">{words}</th>.*>12,345</td>", page)


@pytest.mark.parametrize(("n", "words"), [(1, "1 test picture that"), (2, "2 test pictures that")])
def test_one_picture_is_no_pictures(n: int, words: str) -> None:
    values = {"value": 1.0, "low": 0.2, "high": 1.0, "largest": "a", "guess": 0.5}
    assert f"On {words}" in texts.say("report_headline_test", "en", n=n, **values)
    assert f"On {n} validation {words.split()[2]}," in texts.say("report_headline_validation", "en", n=n, **values)
    for over in ("pictures", "seeds", "draws"):
        assert texts.say(f"report_over_{over}", "en", n=n) == f"n={n} {over if n > 1 else over[:-1]}"


@pytest.mark.parametrize("language", ["en", "ko"])
def test_of_a_head_on_a_frozen_network_the_curves_say_what_its_row_is(language: str) -> None:
    told, head = texts.say("report_about_curves_head", language), "multinomial logistic regression"
    assert told not in unescape(render(content(), language))
    assert told in unescape(render(replace(content(), plan=content().plan | {"head": head}), language))


def test_every_section_is_there_and_the_contents_lead_to_each() -> None:
    tags = outline(render(content()))
    sections = [attributes["id"] for tag, attributes in tags if tag == "section"]
    links = [str(attributes["href"]) for tag, attributes in tags if tag == "a"]
    assert links == [f"#{section}" for section in sections]
    assert len(sections) == 19


def test_a_bare_run_leaves_out_what_it_does_not_know() -> None:
    tags = outline(render(ReportContent(run="bare", summary=without_scores())))
    sections = [attributes["id"] for tag, attributes in tags if tag == "section"]
    links = [str(attributes["href"]) for tag, attributes in tags if tag == "a"]
    assert sections == ["curves", "data", "why", "use"]
    assert links == [f"#{section}" for section in sections]


def test_the_headline_holds_value_interval_n_and_the_guess() -> None:
    made = content()
    score = made.summary.test
    assert score is not None
    sentence = re.search(r'<p class="headline">(.*?)<span', render(made), re.S)
    assert sentence is not None
    for share in (score.accuracy.value, score.accuracy.low, score.accuracy.high, score.largest_class_fraction):
        assert f"{100 * share:.1f}\u00a0%" in sentence[1]
    assert f"{score.n} test pictures" in sentence[1]
    assert "tulips" in sentence[1]
    assert "do not show" not in sentence[1]


def test_a_score_that_reaches_down_to_the_guess_is_called_so() -> None:
    poor = evaluation().model_copy(update={"accuracy": Estimate(value=0.3, low=0.2, high=0.4, n=310)})
    assert "do not show that the recognizer does better" in render(content(summary=without_scores(test=poor)))


def test_classes_stand_weakest_first() -> None:
    made = content()
    table = render(made).split('<table class="classes">')[1].split("</table>")[0]
    recalls = [float(value) for value in re.findall(r"<b>([\d.]+)", table)][::2]
    assert recalls == sorted(recalls)
    assert len(recalls) == 5


def test_pictures_and_detectors_are_inside_the_page() -> None:
    html = render(content())
    assert html.count('<img src="data:image/png;base64,') == 12 + 6 + 5 + 16


def test_long_lists_are_cut_and_the_rest_is_counted() -> None:
    many = [Unreadable(name=f"file{i}.jpg", reason="broken") for i in range(MOST_ROWS + 7)]
    html = render(content(check=check(unreadable=many)))
    assert html.count("<td>broken</td>") == MOST_ROWS
    assert "and 7 more" in html


def test_tens_of_thousands_of_steps_stay_small() -> None:
    few, many = render(content(losses=np.ones(500))), render(content(losses=np.random.default_rng(0).random(60_000)))
    assert len(many) < len(few) + 20_000


def test_a_spike_of_j_turns_the_axis_logarithmic() -> None:
    losses = np.full(200, 0.5)
    assert "logarithmic" not in render(content(losses=losses))
    losses[3] = 500.0
    assert "logarithmic" in render(content(losses=losses))


@pytest.mark.parametrize("language", ["en", "ko"])
def test_hostile_names_are_only_text(language: str) -> None:
    html = render(hostile(), language)
    harmless = [tag for tag, _ in outline(render(content(tuple(f"class{i}" for i in range(10))), language))]
    tags = outline(html)
    assert {tag for tag, _ in tags} <= set(harmless)
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert "{{ 7 * 7 }}{% raw %}" in html
    for hidden in ("\u202e", "\x00", "\udcff"):
        assert hidden not in html
    assert "a" * 500 not in html


def test_the_file_is_utf8_and_the_same_each_time(tmp_path: Path) -> None:
    write_report(tmp_path / "a.html", hostile(), "ko")
    write_report(tmp_path / "b.html", hostile(), "ko")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert "혼동 행렬" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_the_command_can_be_pasted_into_a_shell() -> None:
    summary = without_scores(run="runs/my cats; rm -rf x-1")
    html = render(ReportContent(run="cats", summary=summary))
    assert "whyconv predict &#39;runs/my cats; rm -rf x-1&#39; pictures/" in html


def test_every_sentence_of_report_and_card_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: set[str] = set()
    say = texts.say

    def listen(key: str, language: str = "en", **values: object) -> str:
        said.add(key)
        return say(key, language, **values)

    monkeypatch.setattr(texts, "say", listen)
    for made in variants():
        render(made)
        card(made)
    folder = Path(whyconv.__file__).with_name("sentences")
    written = {
        key for name in ("report", "card") for key in tomllib.loads((folder / f"{name}.toml").read_text("utf-8"))
    }
    assert sorted(written - said) == []


def test_epochs_without_validation_are_drawn_as_one_line() -> None:
    alone = [record.model_copy(update={"validation_loss": None, "validation_accuracy": None}) for record in epochs()]
    html = render(content(epochs=alone))
    assert "line second" not in html
    assert '<li class="second">' not in html


def test_the_kept_epoch_is_marked_where_it_is_drawn() -> None:
    assert render(content()).count('class="mark"') == 2
    assert 'class="mark"' not in render(content(epochs=epochs(3)))
