"""Pictures come in and are named, as a person does it in a real browser; compared with what onnxruntime says."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from page_checks import close_to, example, first_label, gray_of, sees, shares, write_png
from page_driver import Open, cells_of, comes, took
from served_run import CLASSES, SIDE
from tiny_training import bars

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def run(page_run: Path) -> Path:
    return page_run


def test_a_chosen_file_is_shown_as_the_network_sees_it_and_named(
    open_page: Open, run: Path, tmp_path: Path, expect: Any
) -> None:
    page, pixels = open_page(), bars(3, seed=9).pixels[2]
    path = write_png(tmp_path, "stands <b>&.png", pixels)
    took(page, "bring", lambda: page.set_input_files("input[type=file]", path))
    sees(page, pixels)
    expect(page.locator("figure.seen figcaption")).to_contain_text("stands <b>&.png")
    comes(lambda: shares(page.locator("#panel-recognize .ranked")), close_to(run, pixels))
    expect(page.locator("p.first bdi")).to_have_text(first_label(run, pixels))
    bar = page.locator("#panel-recognize .bar").first
    drawn = bar.evaluate("bar => parseFloat(getComputedStyle(bar).getPropertyValue('--share'))")
    assert 100 * drawn == pytest.approx(max(shares(page.locator("#panel-recognize .ranked")).values()), abs=0.06)


def test_a_picture_can_be_dropped_and_pasted(open_page: Open, run: Path, tmp_path: Path, expect: Any) -> None:
    page = open_page()
    give = """([bytes, kind]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], kind + '.png', {type: 'image/png'}));
        const event = kind === 'drop'
            ? new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})
            : new ClipboardEvent('paste', {clipboardData: data, bubbles: true});
        document.body.dispatchEvent(event);
    }"""
    for kind, number in (("drop", 4), ("paste", 5)):
        pixels = bars(6, seed=9).pixels[number]
        content = write_png(tmp_path, f"{kind}.png", pixels).read_bytes()
        page.evaluate(give, [list(content), kind])
        expect(page.locator("figure.seen figcaption")).to_contain_text(f"{kind}.png")
        sees(page, pixels)
        expect(page.locator("p.first bdi")).to_have_text(first_label(run, pixels))


def test_several_files_are_named_together_and_each_can_be_shown(
    open_page: Open, run: Path, tmp_path: Path, expect: Any
) -> None:
    page, pictures = open_page(), bars(40, seed=9).pixels
    paths = [write_png(tmp_path, f"{at:02}.png", pixels) for at, pixels in enumerate(pictures)]
    paths[1].write_bytes(b"no picture")
    page.set_input_files("input[type=file]", paths)
    rows = page.locator(".files li")
    expect(rows).to_have_count(40)
    expect(rows.nth(1)).to_contain_text("01.png: ")
    expect(rows.nth(39)).to_contain_text(f"39.png: {first_label(run, pictures[39])} (")
    rows.nth(39).locator("button").click()
    sees(page, pictures[39])


def test_a_file_that_is_no_picture_is_refused_in_words(
    open_page: Open, allowed: dict[str, int], tmp_path: Path, expect: Any
) -> None:
    allowed["the server responded with a status of 422"] = 1
    page = open_page()
    (tmp_path / "notes.png").write_text("no picture")
    page.set_input_files("input[type=file]", tmp_path / "notes.png")
    expect(page.get_by_role("alert")).not_to_be_empty()
    page.locator(".examples button").first.click()
    expect(page.get_by_role("alert")).to_be_empty()


def test_the_camera_gives_a_picture(open_page: Open, expect: Any) -> None:
    page = open_page()
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Take the picture").click()
    expect(page.locator("figure.seen figcaption")).to_contain_text("Camera")
    assert len(np.unique(gray_of(page.locator("figure.seen canvas")))) > 3
    expect(page.locator(".camera")).to_be_hidden()


def test_a_digit_can_be_drawn_by_hand_and_by_keys(open_page: Open, run: Path, expect: Any) -> None:
    page = open_page()
    page.get_by_text("Draw one").click()
    page.get_by_role("button", name="Clear").click()
    sees(page, np.zeros((SIDE, SIDE, 1), np.uint8))
    page.get_by_label("Let the ink fill the picture").uncheck()
    board = page.get_by_label("Drawing board")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 10, steps=5)
    page.mouse.up()
    expect(page.locator("figure.seen figcaption")).to_contain_text("your drawing")
    stroke = gray_of(page.locator("figure.seen canvas"))[:, :, 0]
    assert stroke[3:5, 3:5].min() > 100
    assert stroke[:, :3].max() == stroke[:, 5:].max() == 0
    page.get_by_role("button", name="Clear").click()
    board.focus()
    for key in ("Space", *["ArrowRight"] * 8, "Space"):
        page.keyboard.press(key)
    stroke = gray_of(page.locator("figure.seen canvas"))[:, :, 0]
    assert stroke[:, 5].max() > 100
    assert stroke[:5].max() == 0
    page.get_by_label("Let the ink fill the picture").check()
    filled = gray_of(page.locator("figure.seen canvas"))[:, :, 0]
    assert filled[:, [0, 7]].max(axis=0).min() > 100
    assert filled[[0, 1, 6, 7]].max() == 0
    page.get_by_label("Let the ink fill the picture").uncheck()
    expect(page.locator("p.first bdi")).to_have_text(first_label(run, stroke[:, :, None]))


def test_evidence_is_drawn_where_the_server_has_it(open_page: Open, expect: Any, tmp_path: Path) -> None:
    """The server's part is made up here: the page must draw what an answer of that form says."""
    values = np.zeros((4, 4))
    values[1, 2], values[3, 0] = 2.0, -2.0
    png = base64.b64encode(write_png(tmp_path, "near.png", example(2)).read_bytes()).decode()
    told = {
        **{"kind": "class activation", "label": "stands", "values": values.tolist(), "box": [0, 0, 8, 8]},
        "field": {"bounds": [[1, 4], [3, 6]], "num_pixels": 16, "fraction": 0.25},
        "nearest": [{"label": "stands", "distance": 0.125, "png": png}],
        "notes": [
            {"key": "evidence_activation_mean", "values": {}},  # no caution: the caption says what the map is
            {"key": "evidence_field_closer", "values": {}},
            {"key": "evidence_occlusion_small", "values": {"most": 1.0}},
        ],
    }
    page = open_page(routes={"**/v1/explain": json.dumps(told)}, has={"evidence": True})
    evidence = page.locator(".evidence")
    expect(evidence).to_contain_text("Class activation map: blue where the last maps speak for “stands”")
    expect(evidence).to_contain_text("16 pixels (25.0 %)")
    expect(evidence).to_contain_text("Views from closer may add pixels of the middle")
    expect(evidence).to_contain_text("less than a 1-point difference")
    expect(evidence.locator(".nearest li")).to_have_text("stands, cosine distance 0.125")
    colors = np.array(cells_of(evidence.locator("canvas").first, SIDE, SIDE))
    assert colors[3, 5].tolist() == [40, 110, 225]
    assert colors[7, 1].tolist() == [240, 110, 20]
    assert np.ptp(colors[0, 0]) == 0
    near = np.array(cells_of(evidence.locator(".nearest canvas"), SIDE, SIDE), np.uint8)
    assert np.array_equal(near[:, :, :1], example(2))


def test_an_answer_that_is_unsure_says_so(open_page: Open, expect: Any) -> None:
    labels = [{"label": "lies", "probability": 0.5}, {"label": "stands", "probability": 0.5}]
    told = {"predictions": [{"name": "pixels", "labels": labels, "error": None, "is_unsure": True}]}
    page = open_page(routes={"**/v1/predict*": json.dumps(told)})
    expect(page.locator(".badge")).to_have_text("unsure")
    expect(page.locator("#panel-recognize")).to_contain_text("do not rely on this answer")


def test_an_example_is_there_without_any_upload(open_page: Open, run: Path, expect: Any) -> None:
    page = open_page()
    expect(page.locator(".examples button")).to_have_count(12)
    sees(page, example(1))
    took(page, "predict", page.get_by_role("button", name="training picture 7").click)
    took(page, "explain", page.get_by_role("button", name="training picture 7").click)
    sees(page, example(7))
    comes(lambda: shares(page.locator("#panel-recognize .ranked")), close_to(run, example(7)))
    assert set(shares(page.locator("#panel-recognize .ranked"))) == set(CLASSES)
