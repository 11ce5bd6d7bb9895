"""Why convolutions, on the served page in a real browser: every view compared with numpy and onnxruntime."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from page_checks import close_to, example, gray_of, map_colors, shares, shows, value_of
from page_driver import Open, cells_of, comes, took
from served_run import SIDE
from whyconv.counting.layer import count_layer
from whyconv.counting.words import LayerWords
from whyconv.study.controls import make_controls

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

NO_WIDTH = "An interval of no width is no certainty"
LAYERS = ("conv2d", "max_pool2d", "conv2d_1", "linear")


@pytest.fixture(scope="module")
def run(page_run: Path) -> Path:
    return page_run


def test_one_detector_has_the_same_weights_at_every_place(open_page: Open, run: Path, expect: Any) -> None:
    page, pixels = open_page("sharing"), example(1)
    took(page, "sharing", lambda: page.get_by_label("Detector", exact=True).fill("3"))
    panel = page.locator("#panel-sharing")
    expect(panel.locator(".detectors [aria-pressed=true]")).to_have_attribute("aria-label", "detector 3")
    found = value_of(run, pixels, "conv2d")[3]
    board = panel.get_by_role("application")
    shows(board, map_colors(found))
    weights = panel.locator(".weights canvas")
    before = cells_of(weights, 3, 3)
    expect(panel).to_contain_text("9 weights make all 64 places of this map")
    box = board.bounding_box()
    for row, column in ((0, 0), (5, 2)):
        took(
            page,
            "sharing-place",
            lambda y=row, x=column: page.mouse.click(
                box["x"] + (x + 0.5) * box["width"] / 8, box["y"] + (y + 0.5) * box["height"] / 8
            ),
        )
        expect(panel).to_contain_text(f"Row {row}, column {column}: the same weights give {found[row, column]:#.6g}")
        assert cells_of(weights, 3, 3) == before
    board.focus()
    page.keyboard.press("ArrowRight")
    expect(panel).to_contain_text(f"Row 5, column 3: the same weights give {found[5, 3]:#.6g}")


def test_a_layer_deeper_in_has_a_larger_window(open_page: Open, expect: Any) -> None:
    page = open_page("sharing")
    took(page, "sharing", lambda: page.get_by_label("Layer").select_option("conv2d_1"))
    expect(page.locator("#panel-sharing")).to_contain_text("72 weights make all 16 places")
    expect(page.locator("#panel-sharing .weights canvas")).to_have_count(8)
    page.get_by_role("button", name="detector 7").click()
    expect(page.get_by_label("Detector", exact=True)).to_have_value("7")


def test_scribbles_outside_do_not_move_a_unit_and_those_inside_do(open_page: Open, run: Path, expect: Any) -> None:
    page = open_page("sparsity")
    panel = page.locator("#panel-sparsity")
    took(page, "unit", lambda: panel.get_by_label("Layer").select_option("conv2d_1"))
    for name in ("Row", "Column"):
        panel.get_by_label(name, exact=True).fill("0")
    # Worked out by hand: 3 x 3, padding 1, at the corner of a map pooled by 2: pixels 0 to 4 along each axis.
    expect(panel).to_contain_text("can depend on 25 of 64 pixels (39.1 %)")
    numbers = panel.locator("dl.numbers dd")
    found = value_of(run, example(1), "conv2d_1")[0, 0, 0]
    expect(numbers.nth(0)).to_have_text(f"{found:#.6g}")
    took(page, "scribble", lambda: panel.get_by_role("button", name="Change every pixel outside").click())
    expect(numbers.nth(2)).to_have_text("39")
    expect(panel.locator(".verdict")).to_contain_text("did not move")
    expect(numbers.nth(1)).to_have_text(f"{found:#.6g}")
    panel.get_by_role("button", name="Change every pixel inside").click()
    expect(panel.locator(".verdict")).to_have_text("The number moved.")
    expect(numbers.nth(3)).to_have_text("25")
    panel.get_by_role("button", name="Restore").click()
    expect(panel.locator(".verdict")).to_contain_text("Nothing is scribbled")


def test_the_brush_keeps_to_its_side(open_page: Open, expect: Any) -> None:
    page = open_page("sparsity")
    panel = page.locator("#panel-sparsity")
    panel.get_by_label("Row", exact=True).fill("0")
    expect(panel).to_contain_text("can depend on 6 of 64")
    paper = panel.get_by_label("Scribble here")
    box = paper.bounding_box()
    numbers = panel.locator("dl.numbers dd")
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 4, steps=20)
    page.mouse.up()
    expect(numbers.nth(2)).to_have_text("5")
    expect(numbers.nth(3)).to_have_text("0")
    expect(panel.locator(".verdict")).to_contain_text("did not move")
    panel.get_by_label("inside only").check()
    paper.focus()
    for key in [*["ArrowLeft"] * 3, "Space"]:
        page.keyboard.press(key)
    expect(numbers.nth(3)).to_have_text("1")


def test_a_moved_picture_is_answered_by_both_networks(open_page: Open, run: Path, expect: Any) -> None:
    page, pixels = open_page("invariance"), example(1)
    panel = page.locator("#panel-invariance")
    board = panel.get_by_role("application")
    box = board.bounding_box()
    cell = box["width"] / SIDE
    page.mouse.move(box["x"] + 2.5 * cell, box["y"] + 2.5 * cell)
    page.mouse.down()
    took(page, "move", lambda: page.mouse.move(box["x"] + 4.5 * cell, box["y"] + 3.5 * cell))
    page.mouse.up()
    expect(panel.locator("output")).to_have_text("moved by 1 down, 2 right")
    moved = np.roll(pixels, (1, 2), (0, 1))
    assert np.array_equal(gray_of(board), moved)
    lists = panel.locator(".answers .ranked")
    expect(lists).to_have_count(4)
    for at, (model, picture) in enumerate(
        [("model.onnx", pixels), ("model.onnx", moved), ("twin_dense.onnx", pixels), ("twin_dense.onnx", moved)]
    ):
        comes(lambda at=at: shares(lists.nth(at)), close_to(run, picture, model))
    took(page, "move", panel.get_by_label("real:").check)
    expect(panel.locator(".verdict p")).to_have_count(2)
    moved[:1], moved[:, :2] = 0, 0
    assert np.array_equal(gray_of(board), moved)
    maps = panel.locator("figure div canvas")
    still, shifted = (value_of(run, picture, "conv2d")[0] for picture in (pixels, moved))
    reach = max(np.abs(still).max(), np.abs(shifted).max())
    shows(maps.nth(1), map_colors(shifted, reach))


def test_what_has_left_over_a_real_border_does_not_come_in_again(open_page: Open, run: Path, expect: Any) -> None:
    page, pixels = open_page("invariance"), example(1)
    panel = page.locator("#panel-invariance")
    board = panel.get_by_role("application")
    panel.get_by_label("real:").check()
    board.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(panel.locator("output")).to_have_text("moved by 0 down, 5 right")
    moved = np.zeros_like(pixels)
    moved[:, 5:] = pixels[:, :3]
    comes(lambda: gray_of(board).tolist(), moved.tolist())
    comes(lambda: shares(panel.locator(".answers .ranked").nth(1)), close_to(run, moved))
    page.keyboard.press("Shift+ArrowRight")
    expect(panel.locator("output")).to_have_text("moved by 0 down, 8 right")
    panel.get_by_label("circular:").check()
    expect(panel.locator("output")).to_have_text("moved by 0 down, 0 right")


def test_the_maps_move_along_with_the_picture(open_page: Open, run: Path, expect: Any) -> None:
    page = open_page("invariance")
    panel = page.locator("#panel-invariance")
    panel.get_by_role("application").focus()
    page.keyboard.press("ArrowDown")
    expect(panel.locator("output")).to_have_text("moved by 1 down, 0 right")
    panel.get_by_role("button", name="right", exact=True).click()
    expect(panel.locator("output")).to_have_text("moved by 1 down, 1 right")
    maps = panel.locator("figure div canvas")
    inner = slice(2, -2), slice(2, -2)
    # Away from the zero padding, which does not go around the ring. The largest value, which colors are relative to,
    # may lie there.
    comes(
        lambda: np.array(cells_of(maps.nth(1), 8, 8))[3:-1, 3:-1].astype(float),
        pytest.approx(map_colors(value_of(run, example(1), "conv2d")[0])[inner], abs=4),
    )
    assert np.ptp(np.array(cells_of(maps.nth(0), 8, 8))[inner]) > 20
    panel.get_by_role("button", name="Back").click()
    expect(panel.locator("output")).to_have_text("moved by 0 down, 0 right")


def test_one_output_is_the_sum_of_its_products(open_page: Open, run: Path, expect: Any) -> None:
    page = open_page("steps")
    panel = page.locator("#panel-steps")
    took(page, "steps", lambda: panel.get_by_label("Layer").select_option("conv2d_1"))
    panel.get_by_label("Row", exact=True).fill("0")
    found = value_of(run, example(1), "conv2d_1")[0, 0, 2]
    expect(panel.locator("tbody tr", has_text="what the network has there")).to_contain_text(f"{found:#.6g}")
    rows = panel.locator(".scroll:not(:has(.taps)) tbody tr").all_inner_texts()
    table = dict(row.split("\t") for row in rows)
    assert float(table["together"]) == pytest.approx(found, rel=2e-5)
    assert float(table["difference (rounding in single precision)"]) < 1e-6
    for name, start in (("Next product", 1), ("Next product", 2), ("All of them", 9), ("Back one", 8)):
        took(page, "step", panel.get_by_role("button", name=name).click)
        expect(panel.locator(".verdict")).to_contain_text(f"Product {start} of 9")
    said = panel.locator(".verdict").inner_text()
    value, weight, product = (float(x) for x in re.search(r": (\S+) × (\S+) = (\S+)\.", said).groups())
    assert value * weight == pytest.approx(product, rel=1e-4, abs=1e-9)
    panel.get_by_label("Channel").fill("5")
    expect(panel.locator(".verdict")).to_contain_text("0 of 9")


def test_the_lectures_table_counts_any_layer(open_page: Open, expect: Any) -> None:
    page = open_page("table")
    panel = page.locator("#panel-table")
    expect(panel.locator("p.first")).to_have_text("32 × 32 × 3 → 28 × 28 × 6")
    # The lecture: 3,072 inputs, 4,704 outputs: about 14 million; the convolution with 3 channels has 450 + 6.
    expect(panel).to_contain_text("dense: 14,450,688")
    expect(panel).to_contain_text("convolution: 450")
    took(page, "count", lambda: panel.get_by_label("Padding").fill("2"))
    expect(panel.locator("p.first")).to_have_text("32 × 32 × 3 → 32 × 32 × 6")
    field = panel.get_by_label("Side of the input")
    field.fill("5000")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("Whole numbers from 1 to 4,096")
    expect(panel.locator("p.first")).to_have_text("32 × 32 × 3 → 32 × 32 × 6")
    field.fill("32")
    expect(field).not_to_have_attribute("aria-invalid", "true")
    expect(panel).not_to_contain_text("Whole numbers")
    panel.get_by_label("Stride").fill("2")
    report = count_layer(LayerWords("32x32x3", "6", "5", "2", "2").convolution())
    expect(panel).to_contain_text(f"dense: {report.dense.weights:,}")
    expect(panel.locator(".identity")).to_contain_text(f"locality factor {report.locality_factor:,.2f}".rstrip("0"))


@pytest.mark.parametrize(("language", "sizes"), [("en", "999 99 101 3"), ("ko", "4096 4096 4095 3")])
def test_the_lectures_table_has_every_digit_of_large_numbers(
    open_page: Open, expect: Any, language: str, sizes: str
) -> None:
    page = open_page("table", language)
    panel, (side, channels, filters, kernel) = page.locator("#panel-table"), sizes.split()
    for place, value in enumerate(sizes.split()):
        panel.get_by_role("spinbutton").nth(place).fill(value)
    report = count_layer(LayerWords(f"{side}x{side}x{channels}", filters, kernel, "1", "0").convolution())
    assert report.dense.weights > 2**53
    expect(panel.locator("p.first")).to_contain_text(f"→ {int(side) - 2} × {int(side) - 2} × {filters}")
    row = panel.locator("table").nth(1).locator("tbody tr").first
    numbers = [report.dense.weights, report.dense.biases, report.dense.connections, report.dense.multiply_adds]
    assert row.locator("td").all_inner_texts() == [f"{number:,}" for number in numbers]
    expect(panel.locator("table").first).to_contain_text(f": {report.dense.weights:,}")


def test_a_layer_that_cannot_be_is_refused_in_words(open_page: Open, allowed: dict[str, int], expect: Any) -> None:
    allowed["the server responded with a status of 422"] = 1
    page = open_page("table")
    page.get_by_label("Side of a filter").fill("40")
    expect(page.get_by_role("alert")).to_contain_text("40")
    page.get_by_label("Side of a filter").fill("3")
    expect(page.get_by_role("alert")).to_be_empty()
    expect(page.locator("#panel-table p.first")).to_have_text("32 × 32 × 3 → 30 × 30 × 6")


def test_the_controls_change_the_picture_as_the_square_did(open_page: Open, run: Path, expect: Any) -> None:
    page, pixels = open_page("square"), example(1)
    square = json.loads((run / "why.json").read_text())["square"]
    protocol = square["protocol"]
    side = protocol["side"]
    factor = side // SIDE
    controls = make_controls(side, protocol["multiplier"], protocol["seed"])
    panel = page.locator("#panel-square")
    expect(panel.locator("table")).to_have_count(2)
    expect(panel).not_to_contain_text(NO_WIDTH)
    for button, name in (("Permute the pixels", "permuted"), ("Random signs", "signs"), ("Stretch", "multiplied")):
        took(page, "control", panel.get_by_role("button", name=button).click)
        expect(panel.locator("[aria-pressed=true]")).to_contain_text(button)
        control = controls[name]
        changed = np.kron(pixels[:, :, 0], np.ones((factor, factor), int)).reshape(-1)[control.source]
        expected = np.where(control.signs < 0, 255 - changed, changed).reshape(side, side)
        seen = panel.locator("canvas").nth(1)
        comes(lambda seen=seen: np.array(cells_of(seen, side, side))[:, :, 0].tolist(), expected.tolist())
        score = next(
            one
            for one in square["scores"]
            if (one["corner"], one["place"], one["control"], one["arm"], one["n_train"])
            == ("convolution", "moved", name, "plain", protocol["sizes"][-1])
        )
        corner = panel.locator("table").nth(1).locator("tbody tr").nth(1).locator("td").nth(1)
        expect(corner).to_contain_text("convolution")
        expect(corner).to_contain_text(f"{100 * score['accuracy']['value']:.1f} %")
    expect(panel.locator("table").nth(1).locator("tbody td").first).to_contain_text("change: exactly 0 points")


def test_numbers_that_came_out_the_same_in_every_draw_are_not_shown_as_certain(
    open_page: Open, run: Path, expect: Any
) -> None:
    told = json.loads((run / "why.json").read_text())
    for loss in told["square"]["losses"]:
        if loss["control"] == "signs" and not loss["is_unmoved"]:
            loss["points"] |= {"value": -0.1, "low": -0.1, "high": -0.1}
    page = open_page("square", routes={"**/v1/why": json.dumps(told)})
    panel = page.locator("#panel-square")
    for button, is_said in (("Random signs", True), ("Permute the pixels", False)):
        took(page, "control", panel.get_by_role("button", name=button).click)
        expect(panel.locator("p", has_text=NO_WIDTH)).to_have_count(int(is_said))


def test_the_choice_of_a_unit_goes_along_from_view_to_view(open_page: Open, expect: Any) -> None:
    page = open_page("sharing")
    page.get_by_label("Layer").select_option("conv2d_1")
    detector = page.get_by_label("Detector", exact=True)
    detector.fill("4")
    detector.fill("99")
    expect(detector).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="the next detector").click()
    page.get_by_role("button", name="the detector before").click()
    expect(detector).not_to_have_attribute("aria-invalid", "true")
    page.get_by_role("tab", name="Sparsity").click()
    panel = page.locator("#panel-sparsity")
    expect(panel.get_by_label("Layer")).to_have_value("conv2d_1")
    expect(panel.get_by_label("Detector", exact=True)).to_have_value("4")
    assert page.url.endswith("#sparsity")
