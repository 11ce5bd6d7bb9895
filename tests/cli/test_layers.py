"""`whyconv layer`: what a teacher reads, what a program reads, and how soon."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

from command_line import Outcome
from processor_time import best_seconds
from whyconv.counting.layer import count_layer
from whyconv.counting.words import LayerWords
from whyconv.counting.worked import work_out
from whyconv.results import Note
from whyconv.results.layer import CORNERS, LayerReport, StepReport, StepTime
from whyconv.show.layer import layer_lines

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMA = DOCS / "schema/layer.json"
LECTURE = ("layer", "32x32x3", "--filters", "6", "--kernel", "5")


def test_the_lecture_as_a_teacher_reads_it(run: Callable[..., Outcome]) -> None:
    outcome = run(*LECTURE)
    assert (outcome.code, outcome.data) == (0, "")
    for told in (
        "32x32x3 -> 28x28x6   6 filters of 5x5",
        "14,450,688          -- / 784 -->  18,432",
        "| / 40.96                         | / 40.96",
        "352,800             -- / 784 -->  450",
        "            32,112.64  =            40.96  x             784",
        "dense           14,450,688   4,704  14,455,392  57.8 MB   231.3 MB",
        "convolution            450       6         456   1.8 kB     7.3 kB",
        "4,704, each from 75 of 3,072 inputs",
        "352,800 of 14,450,688",
        "2.4414 %; sparsity 97.5586 %",
        "You may have seen 156 = 6 x (5x5 + 1).",
        "Either way around",
        "Exact",
    ):
        assert told in outcome.text


def test_with_padding_both_ways_are_told(run: Callable[..., Outcome]) -> None:
    text = run("layer", "6x6", "--kernel", "3", "--padding", "1").text
    for told in (
        "around differ here, 5.06 x 28.44 and 4 x 36",
        "256 of 1,296",
        "256; 324 if padding is counted",
        "25 to 36 places, 28.44 in the mean",
        "      30  36  30",
        "Of the local layer's 324 weights, 68 only ever meet padding",
    ):
        assert told in text


def test_terabytes_are_counted_and_not_taken(run: Callable[..., Outcome]) -> None:
    text = run("layer", "1000x1000x3", "--filters", "6", "--kernel", "5").text
    assert "71.4 TB   285.7 TB" in text
    assert "1.8 GB     7.2 GB" in text


def test_one_output_is_written_out(run: Callable[..., Outcome]) -> None:
    outcome = run("layer", "6x6", "--show", "0,1", "--json")
    for told in (
        "10[10 10  0] 0  0",
        "10*1 + 10*0 + 0*-1  =  10",
        "=  30",
        "0[30]30  0",
        "Parameter sharing: the same 9 weights make the output at each of 16 places:",
        "it depends on 9 of 36 inputs. Each of the other 27 was",
        "it moved 0 times. Of the 9, 6 moved it;",
    ):
        assert told in outcome.text
    assert json.loads(outcome.data)["shown"]["value"] == 30


def test_json_is_the_record_and_its_schema_is_published(run: Callable[..., Outcome]) -> None:
    outcome = run(*LECTURE, "--json")
    record = LayerReport.model_validate_json(outcome.data)
    assert record == count_layer(LayerWords("32x32x3", "6", "5").convolution())
    values = json.loads(outcome.data)
    assert (values["kind"], values["convolution"]["parameters"], values["locality_factor"]) == ("exact", 456, 40.96)
    published = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert published == LayerReport.model_json_schema(mode="serialization"), "docs/files.md says how it is written"
    assert set(published["properties"]) == set(values)


def sessions(page: str) -> list[tuple[str, list[str]]]:
    """Each command that a page shows after a `$`, and the lines below it."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n\$ (.+?)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [(command, shown.splitlines()) for command, shown in blocks]


@pytest.mark.parametrize("page", ["why-convolutions.md", "why-convolutions.ko.md"])
def test_the_lecture_shows_what_is_printed(page: str, run: Callable[..., Outcome]) -> None:
    shown = sessions(page)
    assert len(shown) == 5
    for command, lines in shown:
        program, *words = command.split()
        printed = iter(run(*words).text.splitlines())
        missing = [line for line in lines if line != "..." and line not in printed]
        assert (program, missing) == ("whyconv", [])


def test_korean_has_the_words_of_the_lecture(run: Callable[..., Outcome]) -> None:
    text = run(*LECTURE, "--lang", "ko").text
    for told in ("희소 연결", "변수 공유", "합성곱", "14,455,392", "40.96"):
        assert told in text


def test_wrong_words_are_wrong_use_and_all_named(run: Callable[..., Outcome]) -> None:
    outcome = run("layer", "6xx", "--kernel", "k", "--padding-mode", "zero")
    assert (outcome.code, outcome.data) == (2, "")
    assert outcome.text.splitlines()[0] == "Error: This layer cannot be: 3 mistakes"
    for told in ("SHAPE '6xx'", "--kernel 'k'", "Did you mean 'zeros'?"):
        assert told in outcome.text
    for place in ("1", "a,b", "-1,0", "0,0,0"):
        outcome = run("layer", "6x6", "--show", place)
        assert outcome.code == 2
        assert "expected a row and a column" in outcome.text
    assert "there is no such output" in run("layer", "6x6", "--show", "4,0").text
    assert "too much to be read" in run("layer", "32x32x3", "--show", "0,0").text


@pytest.mark.parametrize(("language", "begins"), [("en", "next:"), ("ko", "다음:")])
@pytest.mark.parametrize(
    ("words", "own"),
    [
        (["6x6"], True),
        (["12x12x3", "--filters", "4"], True),
        (["32x24"], True),
        (["32x25"], False),
        (["32x32x3", "--filters", "10", "--kernel", "5"], False),
        (["20x20x30"], False),  # 12,000 inputs
        (["24x24", "--kernel", "8"], False),
        (["32x3", "--axes", "1"], False),
        (["4x4x4", "--axes", "3"], False),
    ],
)
def test_what_is_offered_next_can_be_done(
    words: list[str], own: bool, language: str, begins: str, run: Callable[..., Outcome]
) -> None:
    last = run("layer", *words, "--lang", language).text.splitlines()[-1]
    assert last.startswith(begins)
    assert cell_len(last) <= 80
    assert "--try" in last
    assert run("layer", *words, "--show", "0,0").code == (0 if own else 2)
    offered = re.search(r"(?:whyconv layer (\w+) )?--show 0,0", last)
    assert offered is not None
    assert (offered[1] is None) == own
    assert run("layer", *(words if own else [offered[1]]), "--show", "0,0").code == 0


def test_a_step_is_timed(run: Callable[..., Outcome]) -> None:
    outcome = run("layer", "6x6", "--try", "--json")
    assert "one training step on 8 pictures" in outcome.text
    assert outcome.text.count("n=9 steps") == 4
    assert "95 % intervals over steps" in outcome.text
    assert [one["corner"] for one in json.loads(outcome.data)["steps"]["times"]] == list(CORNERS)


WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name, name="torch")
sys.meta_path.insert(0, Refuse())
from whyconv.cli import main
main(sys.argv[1:])
"""


def test_without_torch_only_trying_is_refused() -> None:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_TORCH, "layer", "6x6", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    assert call("--show", "0,1").returncode == 0
    refused = call("--try")
    assert refused.returncode == 2
    line = "Error: Timing a training step (--try) needs an optional package. Install it with:  pip install"
    assert refused.stderr == f"{line} 'whyconv[train]'\n"


def test_any_size_is_answered_in_less_than_half_a_second() -> None:
    assert best_seconds("layer", "1000x1000x3", "--filters", "6", "--kernel", "5", limit=0.5) < 0.5


# --- every table within 80 columns

_ODD: list[dict[str, str]] = [
    {},
    {"filters": "64", "kernel": "7", "padding": "3"},
    {"filters": "6", "kernel": "5x3", "stride": "2x1", "padding": "3x1", "dilation": "2"},
    {"filters": "12", "groups": "3", "kernel": "3", "padding": "same", "stride": "2"},
    {"kernel": "4", "padding": "5", "padding_mode": "replicate"},
    {"kernel": "9x5", "padding": "3", "dilation": "1", "padding_mode": "circular"},
]


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("shape", ["7x7x3", "24x24x3", "1000x1000x3", "1000000000x1000000000x999999999", "3x32x9"])
def test_tables_fit_80_columns(language: str, shape: str) -> None:
    for words in _ODD:
        lines = layer_lines(count_layer(LayerWords(shape, **words).convolution()), language)  # type: ignore[arg-type]
        assert [line for line in lines if cell_len(line) > 80] == []
        assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_written_arithmetic_fits_80_columns(language: str) -> None:
    asked = [({}, "6x6"), ({"kernel": "7", "padding": "3"}, "24x24x2"), ({"kernel": "1x24", "filters": "3"}, "32x24")]
    for words, shape in asked:
        layer = LayerWords(shape, **words).convolution()
        for row, column in ((0, 0), (layer.output_shape[1] - 1, layer.output_shape[2] - 1)):
            report = count_layer(layer).model_copy(update={"shown": work_out(layer, row, column)})
            assert [line for line in layer_lines(report, language) if cell_len(line) > 80] == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_times_fit_80_columns(language: str) -> None:
    reasons = ("layer_step_too_large", "layer_step_no_layer", "layer_step_failed")
    times = [
        StepTime(corner=corner, num_bytes=10**16, reason=Note(key=key, values={"needed": 357_100_000_000_000}))
        for corner, key in zip(CORNERS, reasons, strict=False)
    ]
    times.append(StepTime(corner="convolution", num_bytes=9, seconds=0.00123, low=0.00121, high=0.0014, n=9))
    report = count_layer(LayerWords("6x6").convolution())
    steps = StepReport(batch=8, threads=1, num_bytes_allowed=12_600_000_000, times=times)
    lines = layer_lines(report.model_copy(update={"steps": steps}), language)
    assert [line for line in lines if cell_len(line) > 80] == []
    assert any("357.1 TB" in line for line in lines)
    assert any("1.23 ms (1.21-1.4, n=9" in line for line in lines)
