"""The served page where the server refuses something: what was answered stays, what was not is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from page_checks import example, first_label, gray_of, sees, write_png
from page_driver import Held, Open, comes, took
from tiny_training import bars

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

REFUSED = "the server responded with a status of"
FULL = {"error": {"message": "The server is full."}}
SEVERAL = "**/v1/predict?top=1"
PREPARED = "**/v1/prepared"
UNITS = "**/v1/units*"


def refuse(route: Any, status: int = 429) -> None:
    route.fulfill(status=status, json=FULL, headers={"Retry-After": "0"})


def refusing(is_answered: Callable[[int], bool]) -> Callable[[Any], None]:
    """Refuses the requests, counted from 0, that are not answered."""
    asked: list[Any] = []

    def hear(route: Any) -> None:
        asked.append(route)
        if is_answered(len(asked) - 1):
            route.continue_()
        else:
            refuse(route)

    return hear


@pytest.mark.parametrize("size", [10_000_001, 30_000_000])
def test_a_picture_that_is_too_large_is_named_and_the_others_are_answered(
    open_page: Open, page_run: Path, allowed: dict[str, int], tmp_path: Path, expect: Any, size: int
) -> None:
    allowed[f"{REFUSED} 413"] = 1
    page, pictures = open_page(), bars(2, seed=9).pixels
    small = [write_png(tmp_path, f"small-{at}.png", pixels) for at, pixels in enumerate(pictures)]
    (tmp_path / "big.png").write_bytes(bytes(size))
    page.set_input_files("input[type=file]", [small[0], tmp_path / "big.png", small[1]])
    rows = page.locator(".files li")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text(f"small-0.png: {first_label(page_run, pictures[0])} (")
    expect(rows.nth(1)).to_contain_text("big.png: The body is longer than 10,000,000 bytes")
    expect(rows.nth(2)).to_contain_text(f"small-1.png: {first_label(page_run, pictures[1])} (")
    expect(page.get_by_role("alert")).to_be_empty()
    sees(page, pictures[0])


def test_pictures_that_find_no_room_are_asked_about_again(
    open_page: Open, page_run: Path, allowed: dict[str, int], tmp_path: Path, expect: Any
) -> None:
    allowed[f"{REFUSED} 429"] = 2
    page, pictures = open_page(), bars(3, seed=9).pixels
    page.route(SEVERAL, refusing(lambda number: number >= 2))
    paths = [write_png(tmp_path, f"{at}.png", pixels) for at, pixels in enumerate(pictures)]
    page.set_input_files("input[type=file]", paths)
    rows = page.locator(".files li")
    expect(rows).to_have_count(3)
    for at, pixels in enumerate(pictures):
        expect(rows.nth(at)).to_contain_text(f"{at}.png: {first_label(page_run, pixels)} (")
    expect(page.get_by_role("alert")).to_be_empty()


def test_pictures_that_find_no_room_for_long_are_named_beside_those_answered(
    open_page: Open, page_run: Path, allowed: dict[str, int], tmp_path: Path, expect: Any
) -> None:
    allowed[f"{REFUSED} 429"] = 20
    page, pictures = open_page(), bars(34, seed=9).pixels
    page.route(SEVERAL, refusing(lambda number: number == 0))
    paths = [write_png(tmp_path, f"{at:02}.png", pixels) for at, pixels in enumerate(pictures)]
    page.set_input_files("input[type=file]", paths)
    rows = page.locator(".files li")
    expect(rows).to_have_count(34)
    expect(rows.nth(31)).to_contain_text(f"31.png: {first_label(page_run, pictures[31])} (")
    for at in (32, 33):
        expect(rows.nth(at)).to_have_text(f"{at}.png: The server is full.")
    sees(page, pictures[0])


def test_examples_that_find_no_room_are_asked_for_again(open_page: Open, allowed: dict[str, int], expect: Any) -> None:
    allowed[f"{REFUSED} 429"] = 12
    page = open_page(routes={PREPARED: refusing(lambda number: number % 2 == 1)})
    expect(page.locator(".examples button")).to_have_count(12)
    expect(page.get_by_role("alert")).to_be_empty()
    sees(page, example(1))
    for number in (12, 5):
        page.get_by_role("button", name=f"training picture {number}", exact=True).click()
        sees(page, example(number))


def test_examples_that_came_stay_where_the_others_find_no_room(
    open_page: Open, allowed: dict[str, int], expect: Any
) -> None:
    allowed[f"{REFUSED} 429"] = 20
    page = open_page(routes={PREPARED: refusing(lambda number: number < 3)})
    expect(page.get_by_role("alert")).to_have_text("The server is full.")
    expect(page.locator(".examples button")).to_have_count(3)
    sees(page, example(1))


def test_no_number_stands_where_the_unit_could_not_be_looked_at(
    open_page: Open, allowed: dict[str, int], expect: Any
) -> None:
    allowed[f"{REFUSED} 503"] = 20
    page = open_page("sparsity", routes={UNITS: lambda route: refuse(route, 503)})
    panel = page.locator("#panel-sparsity")
    outside, restore = (panel.get_by_role("button", name=name) for name in ("Change every pixel outside", "Restore"))
    numbers, verdict = panel.locator("dl.numbers dd"), panel.locator(".verdict")
    expect(page.get_by_role("alert")).to_have_text("The server is full.")

    outside.click()  # nothing was looked at yet
    page.unroute(UNITS)
    took(page, "unit", restore.click)
    expect(verdict).to_have_text("Nothing is scribbled yet.")
    took(page, "scribble", outside.click)
    expect(verdict).to_contain_text("did not move")

    page.route(UNITS, lambda route: refuse(route, 503))
    page.get_by_role("button", name="training picture 5").click()
    expect(verdict).to_be_empty()
    expect(numbers).to_have_count(0)
    comes(lambda: gray_of(panel.get_by_label("Scribble here")).tolist(), example(5).tolist())
    page.unroute(UNITS)
    outside.click()
    page.wait_for_load_state("networkidle")
    expect(verdict).to_be_empty()
    took(page, "unit", restore.click)
    took(page, "scribble", outside.click)
    expect(verdict).to_contain_text("did not move")
    expect(numbers.nth(3)).to_have_text("0")


def test_a_number_is_told_of_the_pixels_that_it_was_measured_on(
    open_page: Open, allowed: dict[str, int], expect: Any
) -> None:
    allowed[f"{REFUSED} 503"] = 1
    page = open_page("sparsity")
    panel = page.locator("#panel-sparsity")
    expect(panel.locator(".verdict")).to_have_text("Nothing is scribbled yet.")
    page.wait_for_load_state("networkidle")
    late = Held(page, UNITS)
    panel.get_by_role("button", name="Change every pixel outside").click()
    late.wait()
    page.route(UNITS, lambda route: refuse(route, 503))
    panel.get_by_role("button", name="Change every pixel inside").click()
    late.release()
    expect(page.get_by_role("alert")).to_have_text("The server is full.")
    expect(panel.locator(".verdict")).to_contain_text("did not move")
    expect(panel.locator("dl.numbers dd").nth(3)).to_have_text("0")


@pytest.mark.parametrize("name", ["cat.txt", "cat.svg", "cat"])
def test_a_picture_is_known_by_its_content_whatever_its_name(
    open_page: Open, tmp_path: Path, expect: Any, name: str
) -> None:
    page, pixels = open_page(), bars(3, seed=9).pixels[2]
    write_png(tmp_path, "cat.png", pixels).rename(tmp_path / name)
    page.set_input_files("input[type=file]", tmp_path / name)
    sees(page, pixels)
    expect(page.locator("figure.seen figcaption")).to_contain_text(name)
