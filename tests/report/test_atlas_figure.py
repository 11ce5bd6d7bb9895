"""The figure of the atlas: every set is there, where its numbers say, and names do not cover each other."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from made_up_atlas import made_up_atlas, made_up_set
from whyconv.report.atlas import atlas_figure, difference_notes
from whyconv.report.labels import Box, place_labels
from whyconv.results.atlas import Atlas, AtlasSet
from whyconv.show.atlas import atlas_lines

SVG = "{http://www.w3.org/2000/svg}"


def parsed(atlas: Atlas, language: str = "en", own: AtlasSet | None = None) -> ET.Element:
    return ET.fromstring(atlas_figure(atlas, language, own))


def labels(figure: ET.Element) -> list[str]:
    return [text.text or "" for text in figure.iter(f"{SVG}text") if "label" in text.get("class", "")]


def dots(figure: ET.Element) -> dict[str, tuple[float, float]]:
    """Where each dot stands, by the beginning of its title: "digits, pictures as they are"."""
    found = {}
    for group in figure.iter(f"{SVG}g"):
        title = (group.findtext(f"{SVG}title") or "").partition(":")[0]
        disk, diamond = group.find(f"{SVG}circle[@class='still']"), group.find(f"{SVG}polygon")
        if disk is not None:
            found[title] = (float(disk.get("cx", "")), float(disk.get("cy", "")))
        elif diamond is not None:
            corners = [tuple(map(float, pair.split(","))) for pair in diamond.get("points", "").split()]
            found[title] = (corners[0][0], corners[1][1])
    return found


def scale(figure: ET.Element, style: str, way: str) -> list[tuple[float, float]]:
    """(number written, pixel) of each tick of an axis."""
    ticks = [one for one in figure.iter(f"{SVG}text") if one.get("class") == f"tick {style}"]
    lift = 4 if way == "y" else 0
    return [(float((one.text or "").replace(",", "")), float(one.get(way, "")) - lift) for one in ticks]


def read_off(ticks: list[tuple[float, float]], pixel: float) -> float:
    """The number at a pixel, by the first and the last tick."""
    (low, start), (high, end) = ticks[0], ticks[-1]
    return low + (pixel - start) / (end - start) * (high - low)


def test_dots_stand_where_the_axes_say() -> None:
    figure = parsed(made_up_atlas(made_up_set("digits", (-5.0, -20.0), (3.5, 25.0)), made_up_set("hands", (8.0, 4.0))))
    across, down = scale(figure, "x", "x"), scale(figure, "y", "y")
    assert all(a[1] < b[1] for a, b in pairwise(across))
    found = {name: (read_off(across, x), read_off(down, y)) for name, (x, y) in dots(figure).items()}
    asked = {
        "digits, pictures as they are": (-5.0, -20.0),
        "digits, each picture moved around the ring": (3.5, 25.0),
        "hands, pictures as they are": (8.0, 4.0),
        "hands, each picture moved around the ring": (3.0, 25.0),
    }
    assert set(found) == set(asked)
    for name, place in asked.items():
        assert found[name] == pytest.approx(place, abs=0.2)


def test_a_loss_lies_left_of_zero_and_below_it_and_below_the_dashed_line() -> None:
    figure = parsed(made_up_atlas(made_up_set("digits", (-5.0, -20.0))))
    zero = {way: dict(scale(figure, way, way))[0.0] for way in "xy"}
    x, y = dots(figure)["digits, pictures as they are"]
    assert x < zero["x"]
    assert y > zero["y"]
    line = next(one for one in figure.iter(f"{SVG}line") if one.get("class") == "even")
    x1, y1, x2, y2 = (float(line.get(name, "")) for name in ("x1", "y1", "x2", "y2"))
    assert y > y1 + (x - x1) / (x2 - x1) * (y2 - y1)


def test_whiskers_reach_as_far_as_the_intervals() -> None:
    figure = parsed(made_up_atlas(made_up_set("digits", (-5.0, -20.0))))
    across = scale(figure, "x", "x")
    first = next(one for one in figure.iter(f"{SVG}line") if "whisker still" in one.get("class", ""))
    ends = [read_off(across, float(first.get(name, ""))) for name in ("x1", "x2")]
    assert ends == pytest.approx([-7.0, -3.0], abs=0.2)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_name_is_there_twice_and_hangul_stays(language: str) -> None:
    names = ["digits", "손글씨 숫자", "<b>&", "꽃"]
    figure = parsed(made_up_atlas(*(made_up_set(name) for name in names)), language)
    assert sorted(labels(figure)) == sorted(names * 2)
    assert ("변수 공유로 얻은" in "".join(figure.itertext())) == (language == "ko")
    style = figure.findtext(f"{SVG}style") or ""
    assert "Noto Sans KR" in style
    assert "Malgun Gothic" in style


def test_a_name_that_would_steer_the_page_is_spelled_out() -> None:
    text = atlas_figure(made_up_atlas(made_up_set("a\x1b[2J\u202e")), "en")
    assert ET.fromstring(text) is not None
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_the_figure_needs_nothing_from_outside() -> None:
    text = atlas_figure(made_up_atlas(), "en")
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert "<script" not in text


def test_the_own_run_is_ringed_and_what_was_otherwise_is_said() -> None:
    own = made_up_set("pets-1", side=16)
    figure = parsed(made_up_atlas(), own=own)
    text = " ".join("".join(figure.itertext()).split())
    assert "pets-1 was measured by another protocol" in text
    assert "digits: 8 pixels a side instead of 16." in text
    assert sum(one.get("class") == "ring" for one in figure.iter(f"{SVG}circle")) == 3
    assert difference_notes(made_up_atlas(), made_up_set("pets-1"), "en") == [
        "The run was measured by the same side, steps and settings as every set."
    ]


def test_sets_that_were_tuned_over_little_are_named() -> None:
    rates = [0.001, 0.0056, 0.032, 0.18, 1.0]
    careful = made_up_set("digits")
    careful = careful.model_copy(update={"protocol": careful.protocol.model_copy(update={"learning_rates": rates})})
    sentence = "fitted into the minutes of: flowers."
    atlas = made_up_atlas(careful, made_up_set("flowers"))
    assert sentence in "".join(parsed(atlas).itertext())
    assert any(sentence in line for line in atlas_lines(atlas, "en"))
    assert "fitted into the minutes" not in "".join(parsed(made_up_atlas(careful)).itertext())


def test_sets_whose_own_pictures_some_corner_has_not_learned_are_named() -> None:
    atlas = made_up_atlas(made_up_set("digits"), made_up_set("flowers", learned=61.0))
    for text in ("".join(parsed(atlas).itertext()), " ".join(atlas_lines(atlas, "en"))):
        assert "Not every corner had learned its own pictures" in text.replace("\xa0", " ")
        assert "in: flowers." in " ".join(text.split())
    assert "Not every corner" not in "".join(parsed(made_up_atlas()).itertext())


def test_names_of_crowded_dots_cover_neither_each_other_nor_a_dot() -> None:
    frame = Box(0, 0, 700, 500)
    crowd = [(350.0 + 7 * index, 250.0 + 3 * (index % 3), f"a set of pictures {index}") for index in range(8)]
    boxes = place_labels(crowd, frame, 13)
    disks = [Box(x - 5, y - 5, x + 5, y + 5) for x, y, _ in crowd]
    assert [one.overlap(other) for index, one in enumerate(boxes) for other in [*boxes[:index], *disks]] == [0.0] * (
        28 + 64
    )
    assert all(one.overlap(frame) == pytest.approx(one.area) for one in boxes)


def test_names_at_the_border_stay_inside() -> None:
    frame = Box(0, 0, 300, 200)
    boxes = place_labels([(299.0, 1.0, "at the corner"), (1.0, 199.0, "at the other")], frame, 13)
    assert [one.overlap(frame) for one in boxes] == pytest.approx([one.area for one in boxes])
