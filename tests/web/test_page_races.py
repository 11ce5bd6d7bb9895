"""The served page where answers come late, in another order, or not at all: it shows what was wished for last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from page_driver import Held, Open, cells_of, comes
from served_run import SIDE
from tiny_training import bars

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SEEN = "#source figure.seen"
PREPARED = "**/v1/prepared"
DROP = """bytes => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], 'dropped.png', {type: 'image/png'}));
    document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(bars(3, seed=9).pixels[2, :, :, 0]).save(tmp_path / "late.png")
    return tmp_path / "late.png"


@pytest.fixture
def ready(open_page: Open, expect: Any) -> Callable[..., Any]:
    """Opens the page, and waits until all that it asks for at the start is there."""

    def load(tab: str = "recognize", sign: str = ".ranked li") -> Any:
        page = open_page(tab)
        expect(page.locator(".examples button")).to_have_count(12)
        expect(page.locator(f"#panel-{tab} {sign}").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        return page

    return load


def choose_late(page: Any, picture: Path) -> Held:
    """Chooses a file whose answer waits for its release."""
    late = Held(page, PREPARED)
    page.set_input_files("input[type=file]", picture)
    late.wait()
    return late


def test_a_picture_that_comes_late_does_not_replace_a_newer_one(
    ready: Callable[..., Any], picture: Path, expect: Any
) -> None:
    page = ready()
    late = choose_late(page, picture)
    page.get_by_role("button", name="training picture 5").click()
    late.release()
    page.wait_for_function("() => performance.getEntriesByName('whyconv:bring').length > 0")
    expect(page.locator(f"{SEEN} figcaption")).to_contain_text("training picture 5")


def test_a_picture_that_was_refused_late_says_nothing_of_a_newer_one(
    ready: Callable[..., Any], allowed: dict[str, int], picture: Path, expect: Any
) -> None:
    allowed["the server responded with a status of 422"] = 1
    page = ready()
    picture.write_text("no picture")
    late = choose_late(page, picture)
    page.get_by_role("button", name="training picture 5").click()
    with page.expect_response(PREPARED):
        late.release()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_picture_on_its_way_arrives_in_the_other_language(
    ready: Callable[..., Any], picture: Path, expect: Any
) -> None:
    page = ready()
    late = choose_late(page, picture)
    late.rest()
    page.locator("#language").select_option("ko")
    expect(page.locator("h2").first).to_have_text("이미지")
    late.release()
    expect(page.locator(f"{SEEN} figcaption")).to_contain_text("late.png")
    seen = page.locator(f"{SEEN} canvas")
    expected = np.repeat(bars(3, seed=9).pixels[2], 3, axis=2)
    comes(lambda: cells_of(seen, SIDE, SIDE), expected.tolist())


def test_the_language_chosen_last_is_the_one_and_files_can_still_be_dropped(
    ready: Callable[..., Any], picture: Path, expect: Any
) -> None:
    page = ready()
    late = Held(page, "**/v1/texts?lang=ko")
    page.locator("#language").select_option("ko")
    late.wait()
    with page.expect_response("**/v1/texts?lang=en"):
        page.locator("#language").select_option("en")
    with page.expect_response("**/v1/texts?lang=ko"):
        late.release()
    page.wait_for_load_state("networkidle")
    page.evaluate(DROP, list(picture.read_bytes()))
    expect(page.locator(f"{SEEN} figcaption")).to_contain_text("dropped.png: as the network sees it")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_another_language_ends_the_camera(ready: Callable[..., Any], expect: Any) -> None:
    page = ready()
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_role("button", name="Take the picture")).to_be_focused()
    page.evaluate("window.track = document.querySelector('video').srcObject.getTracks()[0]")
    assert page.evaluate("track.readyState") == "live"
    page.locator("#language").select_option("ko")
    expect(page.locator("h2").first).to_have_text("이미지")
    assert page.evaluate("track.readyState") == "ended"


def test_what_went_wrong_is_not_taken_back_by_an_answer_to_something_else(
    ready: Callable[..., Any], allowed: dict[str, int], picture: Path, expect: Any
) -> None:
    allowed["the server responded with a status of 422"] = 1
    page = ready("table", ".identity")
    late = Held(page, "**/v1/count*")
    page.get_by_label("Padding").fill("2")
    late.wait()
    picture.write_text("no picture")
    page.set_input_files("input[type=file]", picture)
    expect(page.get_by_role("alert")).not_to_be_empty()
    late.release()
    expect(page.locator("#panel-table p.first")).to_have_text("32 × 32 × 3 → 32 × 32 × 6")
    expect(page.get_by_role("alert")).not_to_be_empty()


def test_a_layer_that_cannot_be_is_not_told_of_once_another_is_typed(
    ready: Callable[..., Any], allowed: dict[str, int], expect: Any
) -> None:
    allowed["the server responded with a status of 422"] = 1
    page = ready("table", ".identity")
    late = Held(page, "**/v1/count*")
    page.get_by_label("Side of a filter").fill("40")
    late.wait()
    page.get_by_label("Side of a filter").fill("3")
    late.release()
    expect(page.locator("#panel-table p.first")).to_have_text("32 × 32 × 3 → 30 × 30 × 6")
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_scribble_measured_late_says_nothing_of_the_next_unit(ready: Callable[..., Any], expect: Any) -> None:
    page = ready("sparsity", "dl.numbers dd")
    panel = page.locator("#panel-sparsity")
    late = Held(page, "**/v1/units*")
    panel.get_by_role("button", name="Change every pixel inside").click()
    late.wait()
    late.rest()
    panel.get_by_label("Row", exact=True).fill("0")
    expect(panel).to_contain_text("can depend on 6 of 64")
    with page.expect_response("**/v1/units*"):
        late.release()
    page.wait_for_load_state("networkidle")
    before, now = panel.locator("dl.numbers dd").all_inner_texts()[:2]
    assert now == before


def test_steps_can_be_asked_for_before_there_are_numbers(open_page: Open, expect: Any) -> None:
    page = open_page("table")
    late = Held(page, "**/v1/steps*")
    page.get_by_role("tab", name="One step").click()
    late.wait()
    panel = page.locator("#panel-steps")
    panel.get_by_role("button", name="Next product").click()
    panel.get_by_label("Channel").fill("0")
    late.release()
    expect(panel.locator(".verdict")).to_contain_text("of 9")


def test_no_answer_of_another_picture_stands_where_there_is_none(
    ready: Callable[..., Any], allowed: dict[str, int], expect: Any
) -> None:
    allowed["the server responded with a status of 503"] = 1
    page = ready()
    page.route(
        "**/v1/predict*", lambda route: route.fulfill(status=503, json={"error": {"message": "The server is full."}})
    )
    page.get_by_role("button", name="training picture 5").click()
    expect(page.get_by_role("alert")).to_have_text("The server is full.")
    expect(page.locator("#panel-recognize .ranked")).to_have_count(0)
    expect(page.locator("#panel-recognize figure")).to_have_count(0)
