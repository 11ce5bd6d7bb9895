"""The section on why convolutions: every number of the record stands there, arrows say what the splits say."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from made_up_atlas import made_up_atlas, made_up_set
from made_up_run import content
from made_up_study import layer_price, made_up_detector, made_up_detectors, made_up_price
from made_up_why import corners, made_up_patches, made_up_square, made_up_why, whole_why, without_targets
from page_outline import outline
from whyconv.report import atlas_section, lacks_why, page_language, why_section, with_atlas, with_why
from whyconv.report.learning import learning_figure
from whyconv.report.page import WHY_BEGINS, WHY_ENDS, render
from whyconv.report.square import square_figure
from whyconv.report.why import ATLAS_BEGINS, ATLAS_ENDS
from whyconv.report.why_square import corners_block, curves_block, square_block
from whyconv.results import CORNERS, PLACES, Place
from whyconv.results.claims import claims
from whyconv.results.numbers import crossing_number, in_percent, in_points
from whyconv.show.square import square_lines
from whyconv.texts import say
from whyconv.training.intervals import paired

LANGUAGES = ("en", "ko")


def words(html: str) -> str:
    """What a reader sees, and what a picture's title says."""
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("\u00a0", " ")
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'").replace("&amp;", "&")


def page_parts(html: str) -> tuple[str, str, str]:
    """A page without its atlas's marks: before the atlas, the atlas, and behind it."""
    before, mark, rest = html.partition(f"{ATLAS_BEGINS}\n")
    if not mark:
        before, _, after = html.partition(WHY_ENDS)
        return before, "", WHY_ENDS + after
    atlas, _, after = rest.partition(f"\n{ATLAS_ENDS}\n")
    return before, atlas, after


def plain(note: object) -> str:
    return str(note).replace("\u00a0", " ")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_arrows_say_what_the_splits_say(place: str, language: str) -> None:
    square = whole_why().square
    svg = square_figure(square, place, language)
    split = square.split(place)
    titles = re.findall(r"<g><title>(.*?)</title>", svg)
    gains = [split.locality_first, split.sharing_second, split.sharing_first, split.locality_second]
    for title, gain in zip(titles, gains, strict=True):
        assert title.endswith(f" {in_points(gain)}")
        assert f">{in_points(gain)}</text>" in svg
    assert f">{in_points(split.interaction)}</text>" in svg
    styles = re.findall(r'class="arrow (\w+)"', svg)
    assert styles == ["gains" if one.low > 0 else "loses" if one.high < 0 else "open" for one in gains]
    for corner in CORNERS:
        accuracy = square.score(corner, place).accuracy
        assert f">{100 * accuracy.value:.1f} %</text>" in svg
        assert f"{100 * accuracy.low:.1f}–{100 * accuracy.high:.1f}, n=3" in svg


def test_arrows_lead_from_corner_to_corner() -> None:
    svg = square_figure(whole_why().square, "moved", "en")
    boxes = [tuple(map(int, one)) for one in re.findall(r'<rect class="corner\w*[^"]*" x="(\d+)" y="(\d+)"', svg)]
    dense, local, shared, convolution = boxes
    assert dense[1] == local[1] < shared[1] == convolution[1]
    assert dense[0] == shared[0] < local[0] == convolution[0]
    across = [float(x) for x in re.findall(r'class="arrow \w+" d="M([\d.]+) [\d.]+H', svg)]
    down = [float(x) for x in re.findall(r'class="arrow \w+" d="M([\d.]+) [\d.]+V', svg)]
    assert across == [dense[0] + 152, dense[0] + 152]
    assert down == [local[0] + 73, dense[0] + 73]


def test_curves_lie_where_the_scores_say() -> None:
    square = whole_why().square
    svg = learning_figure(square, "still", "plain", "en")
    lines = re.findall(r'<polyline class="line (\w+)" points="([^"]*)"', svg)
    assert [style for style, _ in lines] == ["first", "second", "third", "fourth"]
    # From 60 % at the bottom (y = 200) to 100 % at the top (y = 30); two sizes at both ends.
    for corner, (_, points) in zip(CORNERS, lines, strict=True):
        places = [tuple(map(float, pair.split(","))) for pair in points.split()]
        accuracy = 100 * square.score(corner, "still").accuracy.value
        assert [x for x, _ in places] == [46.0, 350.0]
        assert places[-1][1] == pytest.approx(200 - (accuracy - 60) / 40 * 170, abs=0.1)
    assert svg.count('class="whisker') == 8
    levels = [float(y) for y in re.findall(r'<line class="mark" x1="46" x2="350" y1="([\d.]+)"', svg)]
    assert levels == pytest.approx([200 - (target - 60) / 40 * 170 for target in (70, 85)], abs=0.1)
    ticks = re.findall(r'<text class="tick x"[^>]*>([^<]*)<', svg)
    assert ticks == ["100", "1,000", "10,000"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_of_the_record_stands_there(language: str) -> None:
    why = whole_why()
    text = words(why_section(why, language, made_up_patches()))
    square = why.square
    wanted = [crossing_number(one.pictures) for one in square.needed]
    wanted += [crossing_number(one.times, is_ratio=True) for one in square.ratios]
    wanted += [in_points(one.gap) for one in square.gaps]
    wanted += [in_points(one.difference) for one in square.gap_differences]
    wanted += [in_points(one.points) for one in square.losses if not one.is_unmoved]
    wanted += [f"{one.difference:.1g}" for one in square.checks]
    wanted += [f"{square.weights[corner]:,}" for corner in CORNERS]
    largest = [square.score(corner, place) for place in PLACES for corner in CORNERS]
    wanted += [in_percent(each) for one in largest for each in (one.same_steps_accuracy, one.best_accuracy)]
    assert square.matched is not None
    wanted += [in_points(one.gain) for one in square.matched.gains]
    wanted += [f"{one.multiply_adds:,}" for one in square.matched.sizes]
    wanted += [in_percent(getattr(one, name)) for one in why.translation for name in ("consistency", "worst_case")]
    wanted += [f"{100 * each.consistency:.1f} %" for one in why.translation for each in one.by_shift]
    assert why.surgery is not None
    assert why.price is not None
    wanted += [f"{100 * one.consistency.value:.1f} (" for each in why.surgery.repairs for one in each.scores]
    wanted += [text for one in why.price.layers for text in (in_percent(one.tied), in_points(one.gain))]
    wanted += ["+3.0 (+2.0 .. +4.0)", "87.0 (85-88)", "-5.0 ± 1.5", "12,345", "-3.1 (-4.3 .. -1.9)", "it <fails>"]
    assert [one for one in wanted if one not in text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_terminal_warns_of_stands_in_the_report_too(language: str) -> None:
    square = whole_why().square
    protocol = square.protocol.model_copy(update={"learning_rates": [0.1, 0.3]})
    two_rates = square.model_copy(update={"protocol": protocol})
    equal = made_up_square({place: corners(0.7, 0.7) for place in PLACES})
    for found, forgets, are_told in ((square, True, True), (two_rates, True, False), (equal, False, True)):
        at_edge = [one.is_rate_at_edge for one in found.scores]
        edge = say("square_at_edge", language, n=sum(at_edge), total=len(at_edge))
        notes = [plain(note) for note in square_block(found, language).notes]
        terminal = " ".join(line.strip() for line in square_lines(found, language))
        for told in (notes, terminal):
            assert (say("square_forgets", language) in told, edge in told) == (forgets, are_told)


@pytest.mark.parametrize("language", LANGUAGES)
def test_whether_errors_fall_to_a_floor_is_said(language: str) -> None:
    square = whole_why().square
    fitted = [one.model_copy(update={"is_floor_fitted": True, "floor": 0.1}) for one in square.exponents]
    for found, kind in ((square.exponents, ""), (fitted, "floor_")):
        block = corners_block(square.model_copy(update={"exponents": found}), language)
        names = {row[0] for row in block.tables[0].rows}
        assert {say(f"report_why_exponent_{kind}{place}", language) for place in PLACES} <= names
    floors = {"en": ("(no floor assumed)", "to a floor"), "ko": ("바닥 없음 가정", "바닥을 향해")}[language]
    for kind, words_of_floor in zip(("", "floor_"), floors, strict=True):
        assert all(words_of_floor in say(f"report_why_exponent_{kind}{place}", language) for place in PLACES)


def test_a_corner_whose_errors_end_at_0_has_no_exponent_and_the_others_have_theirs() -> None:
    square = whole_why().square
    for lacking in ("dense", "convolution"):
        others = [one for one in square.exponents if one.corner != lacking]
        block = corners_block(square.model_copy(update={"exponents": others}), "en")
        rows = [row[1:] for row in block.tables[0].rows if row[0].startswith("errors fall")]
        assert len(rows) == 2
        for row in rows:
            assert [cell == "unknown" for cell in row] == [corner == lacking for corner in CORNERS]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("most_times", "checkpoints"), [(3, 8), (3, 1), (1, 8), (1, 1)])
def test_accuracies_of_other_stops_stand_in_rows_where_there_are_others(
    most_times: int, checkpoints: int, language: str
) -> None:
    square = whole_why().square
    protocol = square.protocol.model_copy(update={"most_times": most_times, "checkpoints": checkpoints})
    block = corners_block(square.model_copy(update={"protocol": protocol}), language)
    title = say("report_why_stops", language, n=12_000)
    stops = [table for table in block.tables if plain(table.title) == title]
    rows = [row for table in stops for row in table.rows]
    wanted = [("same_steps", "same_steps_accuracy")] * (most_times > 1)
    wanted += [("own_best", "best_accuracy")] * (checkpoints > 1)
    assert [list(map(plain, row)) for row in rows] == [
        [
            say(f"report_why_{name}_{place}", language, steps=25),
            *(in_percent(getattr(square.score(corner, place), field)) for corner in CORNERS),
        ]
        for name, field in wanted
        for place in PLACES
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_one_size_there_is_no_curve_and_no_word_of_what_is_not_there(language: str) -> None:
    square = whole_why().square
    levels = say("report_why_about_levels", language)
    for found, are_there in ((square, True), (without_targets(square, PLACES), False)):
        assert (levels in map(plain, curves_block(found, language).about)) == are_there
    largest = square.protocol.sizes[-1]
    one_size = without_targets(square, PLACES).model_copy(
        update={
            "protocol": square.protocol.model_copy(update={"sizes": [largest]}),
            "scores": [one for one in square.scores if one.n_train == largest],
            "splits": [one for one in square.splits if one.n_train == largest],
        }
    )
    block = curves_block(one_size, language)
    assert [plain(note) for note in block.about] == [
        say("report_why_one_size", language, n=largest),
        say("report_why_about_points", language, draws=3),
    ]
    assert (len(block.figures), block.tables) == (1, [])  # those trained on shifts stand nowhere else
    assert str(block.figures[0].chart).count(">12,000<") == 1
    alone = one_size.model_copy(update={"splits": [one for one in one_size.splits if one.arm == "plain"]})
    assert (len(curves_block(alone, language).about), curves_block(alone, language).figures) == (1, [])


def test_what_silencing_a_detector_costs_stands_there_with_both_ends_of_its_interval() -> None:
    few = paired(np.array([1.0] * 4 + [0.0] * 6))  # reaches farther down than up, and holds 0
    one = made_up_detector().model_copy(update={"lost_everywhere": few})
    why = whole_why().model_copy(update={"detectors": made_up_detectors(one)})
    text = words(why_section(why, "en"))
    assert "+3.0 (+2.0 .. +4.0)" in text
    assert "+40.0 (-2.0 .. +68.6)" in text
    assert "+40.0 ± 35.3" not in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("lacking", [(), ("still",), ("moved",), ("still", "moved")])
def test_claims_are_those_of_the_terminal(lacking: tuple[Place, ...], language: str) -> None:
    from whyconv.show.why import why_lines

    why = whole_why()
    why = why.model_copy(update={"square": without_targets(why.square, lacking)})
    terminal = " ".join(" ".join(why_lines(why, language)).split()).replace("\u00a0", " ")
    page = words(why_section(why, language))
    rows = why_section(why, language).split("<tbody>")[1].split("</tbody>")[0].split("<tr>")[1:]
    assert len(rows) == len(claims(why.square)) + len(why.translation) + len(why.not_measured)
    for row in rows:
        for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row):
            assert words(cell).strip() in terminal
    assert page.count("±") > 50


def test_fields_are_drawn_where_their_boxes_lie_on_the_picture() -> None:
    why = whole_why()
    picture = np.arange(144, dtype=np.uint8).reshape(12, 12, 1)
    html = why_section(why, "en", made_up_patches(), picture)
    svg = next(one for one in re.findall(r"<svg.*?</svg>", html, re.DOTALL) if "as the network sees it" in one)
    rects = re.findall(r'<rect class="line (\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg)
    assert [style for style, *_ in rects] == ["second", "first"]
    # 288 pixels for 12: each is 24 wide, behind an edge of 4.
    assert [tuple(map(float, rest)) for _, *rest in rects] == [(4, 4, 288, 288), (124, 124, 72, 72)]
    address = re.search(r'href="data:image/png;base64,([^"]+)"', svg)
    assert address is not None
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(address[1])))), picture[..., 0])
    assert "14 x 14" in words(html)
    assert "6.2 %" in words(html)
    without = why_section(why, "en", made_up_patches())
    assert without.count("<image") == html.count("<image") - 1
    assert "without the pictures: remove why.json" in without
    assert "without the pictures: remove why.json" not in html


@pytest.mark.parametrize("language", LANGUAGES)
def test_figures_are_well_formed_and_name_themselves(language: str) -> None:
    html = why_section(whole_why(), language, made_up_patches())
    figures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(figures) == 2 + 3 + 2 + 1 + 5 + 1 + 1 + 1
    for svg in figures:
        root = ET.fromstring(svg)
        assert root.get("role") == "img"
        assert bool(re.search("[가-힣]", str(root.get("aria-label")))) == (language == "ko")
    assert "http" not in html
    assert "<b>conv" not in html
    assert "<script" not in html
    tags = outline(with_why(render(content(), language), html))
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_section_is_put_in_its_place_once() -> None:
    page = render(content())
    section = why_section(whole_why(), "en")
    assert lacks_why(page)
    once = with_why(page, section)
    assert not lacks_why(once)
    assert with_why(once, section) == once
    assert with_why(with_why(page, "<p>older</p>"), section) == once
    assert once.count(section) == 1
    before, after = page.split(WHY_BEGINS)[0], page.split(WHY_ENDS)[1]
    assert once.startswith(before)
    assert once.endswith(after)
    # Backslashes are what a pattern would take for a group.
    assert r"<p>\1 \g<0></p>" in with_why(page, r"<p>\1 \g<0></p>")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_atlas_stands_in_the_section_until_that_is_measured_anew(language: str) -> None:
    section = why_section(whole_why(), language, made_up_patches())
    page = with_why(render(content(), language), section)
    atlas = atlas_section(made_up_atlas(made_up_set("<b>&"), made_up_set("꽃")), made_up_set("pets-1"), language)
    once = with_atlas(page, atlas)
    assert page_parts(once) == (*page_parts(page)[:1], atlas, *page_parts(page)[2:])
    assert with_atlas(once, atlas) == with_atlas(with_atlas(page, "<p>older</p>"), atlas) == once
    assert with_why(once, section) == page
    assert r"<p>\1 \g<0></p>" in with_atlas(once, r"<p>\1 \g<0></p>")
    with pytest.raises(LookupError, match="no place for the section"):
        with_atlas(page.replace(WHY_ENDS, ""), atlas)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_atlas_on_the_page_asks_for_nothing_and_leaves_other_figures_alone(language: str) -> None:
    atlas = atlas_section(made_up_atlas(made_up_set("<b>&")), made_up_set("pets-1"), language)
    page = with_atlas(with_why(render(content(), language), why_section(whole_why(), language)), atlas)
    ids = [attributes["id"] for _, attributes in outline(page) if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "http" not in atlas
    assert "<script" not in atlas
    assert "url(" not in atlas
    svg = ET.fromstring(re.findall(r"<svg.*?</svg>", atlas, re.DOTALL)[0])
    assert [one.text for one in svg.iter("text") if one.get("class") == "label own x"] == ["pets-1"] * 2
    assert bool(re.search("[가-힣]", str(svg.get("aria-label")))) == (language == "ko")
    selectors = re.findall(r"([^{}]+)\{[^{}]*\}", svg.findtext("style") or "")
    assert len(selectors) > 10
    assert all(each.strip().startswith(".atlas") for group in selectors for each in group.split(","))
    assert svg.get("class") == "atlas"


def test_names_that_look_like_the_marks_change_nothing() -> None:
    page = render(content((WHY_BEGINS, WHY_ENDS), run=WHY_BEGINS))
    price = made_up_price(layer_price(WHY_ENDS))
    section = why_section(whole_why().model_copy(update={"price": price, "failed": {"price": WHY_BEGINS}}), "en")
    once = with_why(page, section)
    assert with_why(once, section) == once
    assert once.count(WHY_BEGINS) == once.count(WHY_ENDS) == 1


def test_a_page_without_a_place_is_refused() -> None:
    page = render(content())
    for broken in (page.replace(WHY_ENDS, ""), page.replace(WHY_BEGINS, ""), page + WHY_BEGINS + WHY_ENDS, ""):
        with pytest.raises(LookupError, match="no place for the section"):
            with_why(broken, "<p></p>")
    assert not lacks_why("")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_its_language_and_how_to_fill_it(language: str) -> None:
    page = render(content(), language)
    assert page_language(page) == language
    between = page.split(WHY_BEGINS)[1].split(WHY_ENDS)[0]
    assert "<code>whyconv why runs/flowers-1</code>" in between


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_missing_is_left_out_or_said(language: str) -> None:
    short = made_up_why()
    bare = short.square.model_copy(
        update={
            **{"needed": [], "ratios": [], "exponents": [], "gaps": [], "memorized": [], "losses": []},
            "gap_differences": [],
        }
    )
    bare = bare.model_copy(update={"protocol": bare.protocol.model_copy(update={"controlled": []})})
    for why in (short, short.model_copy(update={"square": bare, "translation": [], "left_out": []})):
        html = why_section(why, language)
        outline(html)
        assert html.count("<h3>") == (6 if why.translation else 5)
    without = why_section(whole_why(), language)
    assert "why.json" in without
    shown = why_section(whole_why(), language, made_up_patches(), np.zeros((12, 12, 1), np.uint8))
    assert len(without) < len(shown)
    assert ("without the pictures" in without) == (language == "en")
    assert "without the pictures" not in shown
