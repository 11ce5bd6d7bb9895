"""Every sentence is there in both languages with the same fields, and every key the program uses is there."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import whyconv
from command_line import VERBS
from whyconv import texts
from whyconv.doctor import EXTRAS
from whyconv.errors import UsageError
from whyconv.results.claims import Holds
from whyconv.results.evidence import Pooling
from whyconv.results.evidence_notes import SMALL
from whyconv.study.protocol import ADDITIONS
from whyconv.texts import as_typed, fields, language, say, sentences, size

PACKAGE = Path(whyconv.__file__).parent
REPORTED = ("square", "curve", "gap", "gap_pair", "exponent", "exponent_floor", "same_steps", "own_best")
# Keys made at run time: the part before the value -> the values it takes.
MADE = {
    "export_part_": ("test", "validation", "train", "pictures"),
    "part_": ("", "train", "validation", "test", "pictures"),
    "channels_": ("gray", "color"),
    "check_": tuple(
        name + ending
        for name in ("turned", "scaled", "alpha", "animated", "duplicates", "leaks", "conflicts")
        for ending in ("", "_value")
    ),
    "stopped_": ("planned", "no_gain", "clock"),
    "plan_rule_": (
        *("network", "side", "batch", "epochs", "optimizer", "learning_rate", "balance", "threads"),
        *(
            "flips",
            "label_smoothing",
            "average",
            "patience",
            "augmentation",
            "schedule",
            "precision",
            "sides",
        ),
    ),
    "plan_head": ("", "_unjudged"),
    "plan_tuned": ("", "_unjudged"),
    "plan_schedule_": ("cosine", "constant", "linear"),
    "plan_fit_": ("letterbox", "stretch"),
    "plan_initial_": ("swift", "plain", "lesson"),
    "run_": ("bfloat16", "float32"),
    "run_step_skipped_": ("cost", "gradient"),
    "scores_": ("class", "pictures", "recall", "precision"),
    "read_as_": ("folders", "splits", "table", "arrays", "webdataset"),
    "split_": ("made", "kept", "both_carved", "validation_carved", "test_carved"),
    "why_claim_": ("fewer", "locality", "sharing", "pictures", "overfitting"),
    "why_found_": (
        *("fewer", "locality", "sharing", "overfitting"),
        *("pictures", "pictures_still", "pictures_moved", "pictures_none"),
    ),
    "why_row_": ("still", "moved"),
    "why_verdict_": get_args(Holds),
    "why_part_": ("rates", "decays", "steps", "longer", "controls_still", "farther", *ADDITIONS),
    **{f"report_why_{name}_": ("still", "moved") for name in REPORTED},
    "unit_column_": ("layer", "places", "unit", "field", "on_picture", "share"),
    "why_frozen_": ("closed", "learned_elsewhere", "prepares"),
    "price_column_": ("layer", "places", "tied", "gain", "pictures", "drift"),
    "hyper_column_": ("setting", "accuracy", "difference", "parameters", "time"),
    "translation_views_": ("none", "file"),
    "curves_arm_": (
        *("shifts_still", "averaged_still", "places_still", "places_moved"),
        *("normalized_still", "normalized_moved"),
    ),
    **dict.fromkeys(("matched_", "matched_short_", "matched_column_"), ("units", "parameters", "multiply_adds")),
    "matched_accuracy_": ("still", "moved"),
    "curves_needed_": ("still", "moved"),
    "curves_same_steps_": ("still", "moved"),
    "curves_gaps_": ("still", "moved"),
    "layer_corner_": ("dense", "local", "shared_global", "convolution"),
    "layer_head_": ("stride", "padding", "dilation"),
    "layer_square_": ("own", "shared", "all", "near"),
    "layer_identity_": ("ratio", "locality", "sharing"),
    "layer_column_": ("weights", "biases", "parameters", "bytes", "adam"),
    "layer_row_": ("multiply_adds", "flops"),
    **{f"square_{name}_": ("still", "moved") for name in ("place", "wins", "loses", "undecided", "lost", "unlearned")},
    "square_corner_": ("dense", "local", "shared_global", "convolution"),
    "square_change_": ("moved", "permuted", "signs", "multiplied"),
    "square_readout_": ("mean", "places"),
    **dict.fromkeys(
        ("network_column_", "network_narrow_"),
        ("layer", "output", "parameters", "connections", "work", "factors"),
    ),
    "network_": (
        *("local", "dense"),
        *(
            name + ending
            for name in ("parameters", "time", "unused", "connections", "factors", "work", "flops", "activations")
            for ending in ("", "_value")
        ),
    ),
    "price_verdict_": ("price", "worth", "undecided"),
    "price_left_": ("memory", "time", "one_place", "fixed", "no_twin"),
    "detectors_quadrant_": ("upper_left", "upper_right", "lower_left", "lower_right"),
    "hyper_factor_": ("kernel", "stride", "padding", "filters", "pooling"),
    "hyper_padding_": ("none", "same"),
    "hyper_pooling_": ("none", "mean", "max"),
    **dict.fromkeys(("theory_task_", "theory_setting_"), ("signal", "energy", "bits", "borders")),
    "theory_border_": ("valid", "zero", "circular", "full"),
    "theory_expect_": (
        *("signal_sharing", "signal_locality", "energy_convolution", "energy_dense"),
        *("bits_convolution", "bits_local", "bits_dense", "bits_sharing"),
        *(f"borders_{name}" for name in ("valid", "zero", "circular", "full", "best", "order")),
    ),
    "theory_verdict_": ("as_expected", "not_at_this_size", "contradicts"),
    "theory_": ("accuracy", "points"),
    "translation_kind_": ("crop", "circular", "zero", "replicate", "fractional"),
    "translation_row_": (
        *("kappa", "worst_case", "correct_and_same", "worst_case_correct"),
        *("accuracy", "shifted_accuracy", "pair_consistency", "probability_change"),
    ),
    "equivariance_column_": ("layer", "jump", "at_jump", "within", "whole", "cause", "adds", "alone"),
    "equivariance_cause_": ("place", "stride", "border", "odd_size", "head"),
    "equivariance_told_": ("inside", "whole", "none"),
    "equivariance_by_": ("linear", "fourier"),
    "surgery_column_": ("repair", "consistency", "kappa", "accuracy"),
    "surgery_repair_": ("before", "circular_padding", "blur", "polyphase", "head", "all"),
    "surgery_left_": (
        *("other_operation", "rounded_up", "too_wide"),
        *("unpadded", "branches", "hidden_layers", "not_finite"),
    ),
    **dict.fromkeys(("atlas_place_", "atlas_accuracy_", "atlas_points_"), ("still", "moved")),
    "atlas_axis_": ("locality", "sharing"),
    "atlas_differs_": ("side", "steps", "settings"),
    "atlas_": ("wins", "loses", "undecided"),
    "atlas_column_": (
        *("name", "train", "test", "classes", "side", "channels", "chance", "steps", "seconds"),
        *("locality", "sharing", "gain"),
    ),
    "evidence_activation_": get_args(Pooling),
    "evidence_why_": ("dense", "several", "unlike", "unknown"),
    "evidence_nearest_": ("no_run", "no_files", "unlike", "no_features"),
    "evidence_views_": ("mirrored", "closer", "all"),
    "doctor_purpose_": tuple(EXTRAS),
}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yields (function, the argument that is a key) for ``say``, ``Note`` and ``Progress``."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        word = {"Note": "key", "Progress": "stage"}.get(name)
        keywords = [one.value for one in node.keywords if one.arg == word]
        if name == "say" and node.args:
            yield name, node.args[0]
        elif word and (keywords or node.args):
            yield name, (keywords or node.args)[0]


def used_keys() -> Iterator[tuple[str, str]]:
    """Yields (where, key) for every key that stands literally in the source."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for function, argument in calls(ast.parse(path.read_text(encoding="utf-8"))):
            choices = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
            for choice in choices:
                if isinstance(choice, ast.Constant) and isinstance(choice.value, str):
                    key = f"stage_{choice.value}" if function == "Progress" else choice.value
                    yield f"{path.relative_to(PACKAGE)}:{choice.lineno}", key


def test_each_sentence_is_found_without_the_others() -> None:
    assert len(sentences()) > 1000
    for key, sentence in sentences().items():
        assert texts._sentence(key) == sentence
    with pytest.raises(KeyError, match="no_such_sentence"):
        say("no_such_sentence")


# Which of two forms is right is told by the sound before it, so of a value nobody knows it; but per cent and bytes are
# read alike behind every number.
_PARTICLE = re.compile(
    r"""\{\w+(?::(?!percent\}|size\})[^{}]*)?\}["”’']? ?"""
    r"""(은|는|이|가|을|를|과|와|으로|로)(는|도|만|써|서|부터)?(?![가-힣(])"""
)


def test_no_value_is_followed_by_a_particle_that_depends_on_it() -> None:
    assert _PARTICLE.search("좌표 x {multiplier}는 이득을")
    assert _PARTICLE.search("온도 {temperature:.2f}로는")
    assert _PARTICLE.search("두 길이 {first} 과 다릅니다")
    assert not _PARTICLE.search("{name}은(는) {n:,}개를 “{label}”(으)로, {share:percent}를 {num_bytes:size}와")
    found = {key: match[0] for key, one in sentences().items() if (match := _PARTICLE.search(one["ko"]))}
    assert found == {}


# Korean word -> other words for the same thing that are in use elsewhere. Where English says photo, so may Korean.
_NAMES = {
    "합성곱": ("컨볼루션",),
    "라벨": ("레이블",),
    "이미지": ("사진",),
    "패딩": ("채움",),
    "스트라이드": ("보폭",),
    "신경망": ("네트워크", "신경 회로망"),
    "픽셀": ("화소",),
    "희소 연결": ("지역성",),
    "이동 불변성": ("평행이동 불변", "이동불변"),
    "변수 공유": ("파라미터 공유", "매개변수 공유", "가중치 공유"),
}


def test_each_thing_has_one_name_in_korean() -> None:
    korean = {key: one["ko"] for key, one in sentences().items()}
    everything = "\n".join(korean.values())
    assert [name for name in _NAMES if name not in everything] == []
    banned = {other: name for name, others in _NAMES.items() for other in others}
    found = {
        (key, other): f"{banned[other]}?"
        for key, text in korean.items()
        for other in banned
        if other in text and not (other == "사진" and "photo" in sentences()[key]["en"].lower())
    }
    assert found == {}


def test_every_key_in_the_source_has_a_sentence() -> None:
    used = list(used_keys())
    assert len(used) > 40
    assert [(where, key) for where, key in used if key not in sentences()] == []


def test_keys_made_at_run_time_have_sentences() -> None:
    wanted = [start + value for start, values in MADE.items() for value in values]
    assert [key for key in wanted if key not in sentences()] == []


def test_every_sentence_is_said_somewhere() -> None:
    # Those of the report and the card: tests/report/test_page.py hears them said; of the page: tests/web.
    others = [path for path in (PACKAGE / "sentences").glob("*.toml") if path.stem not in ("report", "card", "page")]
    written = {key for path in others for key in tomllib.loads(path.read_text(encoding="utf-8"))}
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")]
    words = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    made = {start + value for start, values in MADE.items() for value in values}
    stages = {f"stage_{word}" for word in words if isinstance(word, str)}
    assert sorted(written - words - made - stages) == []


@pytest.mark.parametrize("key", sorted(sentences()))
def test_both_languages_say_the_same(key: str) -> None:
    sentence = sentences()[key]
    assert set(sentence) == {"en", "ko"}
    assert all(text.strip() == text and text for text in sentence.values())
    assert fields(sentence["en"]) == fields(sentence["ko"])


def test_no_key_is_in_two_files() -> None:
    paths = sorted((PACKAGE / "sentences").glob("*.toml"))
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("[")]
    assert len(lines) == len(set(lines)) == len(sentences())


def test_fields_are_filled_in() -> None:
    assert (
        say("check_conflicts_value", "en", n=1, pictures=2) == "1 group of copies (2 pictures) carry different labels"
    )
    assert say("check_count", "en", n=3670, classes=5) == "3,670 pictures, 5 classes"
    assert say("check_count", "en", n=1, classes=1) == "1 picture, 1 class"
    assert say("check_count", "ko", n=3670, classes=5) == "이미지 3,670장, 클래스 5개"
    assert say("epoch_validation", "en", share=0.841) == "validation 84.1 %"
    assert say("epoch_validation", "en", share=-1e-9) == "validation 0.0 %"


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (25_276_510_208, "25.3 GB"),
        (71_425_152_000_000, "71.4 TB"),
        (2 * 10**18, "2.0 EB"),
        (4 * 10**54, "4.00e+36 EB"),
    ],
)
def test_sizes(num_bytes: int, text: str) -> None:
    assert size(num_bytes) == text


@pytest.mark.parametrize(("seconds", "shown"), [(0.1234, "0.12"), (9.87, "9.9"), (99.6, "100"), (1234.5, "1,234")])
def test_short_numbers(seconds: float, shown: str) -> None:
    assert f"takes {shown} s here" in say("run_budget", "en", minutes=1, seconds=seconds, epochs=2.5)


def test_of_one_thing_there_are_not_several() -> None:
    assert "less than 1 point." in say("evidence_occlusion_small", "en", most=100 * SMALL)
    # As the notes of sources give it: a text.
    assert "1 groups" not in say("grouped", "en", num_groups="1", num_alone="0")


def test_braces_in_a_value_stay_as_they_are() -> None:
    assert say("check_head", "en", where="{n.__class__}", layout="{}") == "{n.__class__}   {}"


def test_a_mistaken_key_is_an_error() -> None:
    with pytest.raises(KeyError):
        say("no_such_sentence")
    with pytest.raises(KeyError):
        say("check_count", "en", n=1)


@pytest.mark.parametrize(
    ("option", "environment", "spoken"),
    [
        ("ko", {"LANG": "en_US.UTF-8"}, "ko"),
        ("en", {"LANG": "ko_KR.UTF-8"}, "en"),
        (None, {"LANG": "ko_KR.UTF-8"}, "ko"),
        (None, {"LC_ALL": "C", "LANG": "ko_KR.UTF-8"}, "en"),
        (None, {"LC_ALL": "", "LANG": "ko_KR.UTF-8"}, "ko"),
        (None, {"LANG": "kok_IN"}, "en"),
        (None, {"LANG": "de_DE.UTF-8"}, "en"),
        (None, {}, "en"),
    ],
)
def test_the_language_is_that_asked_for_or_that_of_the_locale(
    option: str | None, environment: dict[str, str], spoken: str
) -> None:
    assert language(option, environment) == spoken


def test_a_language_not_spoken_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'de'.*--lang en or --lang ko"):
        language("de")


# A command of ours that a sentence has begun, up to a value in it; a period and a blank end the command.
_BEGUN = re.compile(rf"whyconv ({'|'.join(VERBS)}) (?:(?!\. ).)*$")


def unquoted(tree: ast.AST) -> Iterator[str]:
    """The values in commands of f-strings that a shell would take apart at a blank."""
    for node in ast.walk(tree):
        text = ""
        for part in node.values if isinstance(node, ast.JoinedStr) else ():
            if isinstance(part, ast.Constant):
                text += str(part.value)
            elif _BEGUN.search(text) and not re.match(r"(printable\()?as_typed\(", ast.unparse(part.value)):
                yield ast.unparse(part.value)
            text += "" if isinstance(part, ast.Constant) else "value"


def test_commands_in_sentences_can_be_typed_as_they_stand() -> None:
    found = {
        str(path.relative_to(PACKAGE)): list(unquoted(ast.parse(path.read_text(encoding="utf-8"))))
        for path in PACKAGE.rglob("*.py")
    }
    assert {path: values for path, values in found.items() if values} == {}


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ('f"Go on with:  whyconv train --resume {run}"', True),
        ('f"Go on with:  whyconv train " f"--resume {run}/run.toml"', True),
        ('f"whyconv train {as_typed(run)} --out {out}"', True),
        ('f"Go on with:  whyconv train --resume {as_typed(run)}"', False),
        ('f"whyconv train {printable(as_typed(run))}"', False),
        ('f"whyconv train says why. {run}"', False),
        ('f"this whyconv reads up to {newest}"', False),
    ],
)
def test_a_command_that_cannot_be_typed_is_found(code: str, is_found: bool) -> None:
    assert bool(list(unquoted(ast.parse(code)))) is is_found


def test_words_come_out_of_a_shell_as_they_were() -> None:
    words = ["my runs/tiny-1", "a'b", "$HOME", "*", "plain", "고양이 1"]
    printed = subprocess.run(["sh", "-c", f"printf '%s\\n' {as_typed(*words)}"], check=True, capture_output=True)
    assert printed.stdout.decode().splitlines() == words


def test_a_place_that_begins_with_a_dash_is_no_option() -> None:
    assert as_typed("-odd $(x)") == "'./-odd $(x)'"
    assert as_typed(Path("-a")) == "./-a"
    assert as_typed("whyconv", "cache", "--clear") == "whyconv cache --clear"
