"""explain: the lines, the JSON object, the page and the picture."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import Outcome
from tiny_model import SIDE
from whyconv.evidence import explain
from whyconv.report.evidence import render_evidence
from whyconv.results.evidence import NearPicture


def test_explain_shows_the_map_and_what_it_means(run: Callable[..., Outcome], model: Path, inbox: Path) -> None:
    outcome = run("explain", model, inbox / "red.png")
    assert (outcome.code, outcome.data) == (0, "")
    lines = outcome.text.splitlines()
    assert re.fullmatch(r".*red\.png   red 0\.\d\d", lines[0])
    assert lines[2].startswith("Class activation map, 8 x 8 places, exact.")
    assert sum(bool(re.fullmatch(r"( +[+-]\d\.\d{3}){8}", line)) for line in lines) == SIDE
    assert "the run folder has no readable features.npy" in " ".join(outcome.text.split())
    assert max(map(len, lines)) <= max(80, len(lines[0]))


def test_explain_hides_patches_when_asked_to(run: Callable[..., Outcome], model: Path, inbox: Path) -> None:
    outcome = run("explain", model / "model.onnx", inbox / "red.png", "--occlusion", "--label", "blue", "--lang", "ko")
    assert outcome.code == 0
    assert "blue에 대해 물음" in outcome.text
    assert "가림 맵" in outcome.text
    assert "파일 하나에는" in outcome.text


def test_explain_leaves_out_what_is_not_asked_for(run: Callable[..., Outcome], model: Path, inbox: Path) -> None:
    outcome = run("explain", model, inbox / "red.png", "--near", 0, "--json")
    assert outcome.code == 0
    assert "earest" not in outcome.text
    assert outcome.text.rstrip("\n") + "\n" == outcome.text
    message = json.loads(outcome.data)
    assert (message["nearest"], message["why_no_nearest"]) == ([], "")


def test_explain_in_json(run: Callable[..., Outcome], model: Path, inbox: Path) -> None:
    message = json.loads(run("explain", model, inbox / "green.png", "--json").data)
    assert (message["label"], message["kind"], message["shape"]) == ("green", "class activation", [8, 8])
    assert len(base64.b64decode(message["map"])) == 64
    assert np.sum(message["values"]) + message["bias"] == pytest.approx(message["logit"], abs=1e-5)


def test_explain_writes_a_page_and_a_picture(
    run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path
) -> None:
    page, picture = tmp_path / "why.html", tmp_path / "why.PNG"
    assert run("explain", model, inbox / "red.png", "--out", page).code == 0
    assert 'lang="en"' in page.read_text(encoding="utf-8")
    assert run("explain", model, inbox / "red.png", "--out", picture).code == 0
    with Image.open(picture) as drawn:
        assert drawn.width > 2 * drawn.height - 1
    outcome = run("explain", model, inbox / "red.png", "--out", tmp_path / "why.pdf")
    assert (outcome.code, "why.pdf" in outcome.text) == (2, True)


def test_what_a_page_needs_is_missed_before_anything_is_computed(
    run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "whyconv.report.evidence")
    monkeypatch.setitem(sys.modules, "markupsafe", None)
    outcome = run("explain", model, inbox / "red.png", "--out", tmp_path / "why.html")
    assert outcome.code == 2
    assert "(--out) needs an optional package" in " ".join(outcome.text.split())
    assert "activation map" not in outcome.text


@pytest.mark.parametrize("ending", ["png", "html"])
def test_evidence_takes_the_place_of_evidence_only(
    ending: str, run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path
) -> None:
    asked = ("explain", model, inbox / "red.png", "--near", 0, "--out")
    out = tmp_path / f"why.{ending}"
    assert [run(*asked, out).code for _ in range(2)] == [0, 0]
    assert run("explain", model / "model.onnx", inbox / "red.png", "--out", out).code == 0
    report = tmp_path / f"report.{ending}"
    report.write_text('<html><meta name="generator" content="whyconv"></html>')
    linked = tmp_path / f"linked.{ending}"
    linked.symlink_to(inbox / "red.png")
    taken = {
        report: "is no page or drawing",
        linked: "is the picture",
        inbox / "green.png": "is no page or drawing",
        inbox / "red.png": "is the picture",
        model / f"report.{ending}": "is the run's own",
    }
    (model / f"report.{ending}").write_text("of a training")
    before = {path: path.read_bytes() for path in taken}
    for path, reason in taken.items():
        outcome = run(*asked, path)
        assert (outcome.code, reason in " ".join(outcome.text.split())) == (2, True), outcome.text
        assert "activation map" not in outcome.text  # refused before anything is computed
    assert {path: path.read_bytes() for path in taken} == before


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_takes_names_from_outside_as_text(model: Path, language: str) -> None:
    evil = "<script>alert(1)</script>\u202e"
    found = explain(model, np.full((SIDE, SIDE, 3), 90, np.uint8), label="blue")
    near = NearPicture(path=evil, label=evil, part="train", distance=0.5, png=found.png)
    page = render_evidence(found.model_copy(update={"picture": evil, "label": evil, "nearest": [near]}), language)
    assert "<script" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
