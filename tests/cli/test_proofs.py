"""`--verify` on both verbs, and what the verb inspect says of fields: as a person and as a program read it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
from rich.cells import cell_len

from command_line import Outcome
from drawn_graph import DrawnGraph
from published_graphs import PUBLISHED
from whyconv.counting.fields import count_fields
from whyconv.measures import proofs
from whyconv.results import Estimate
from whyconv.results.fields import EffectiveField, MassSquare, Proof, Verification
from whyconv.show.fields import effective_lines, field_lines, field_summary
from whyconv.show.verify import verification_lines

NETWORK = ("inspect", "linear_layers:small_network", "--input", "1x8x8")
SMALL = ("layer", "9x9x2", "--filters", "2", "--kernel", "3", "--padding", "1", "--verify")


@pytest.fixture(autouse=True)
def _threads_as_before() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def break_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry of every matrix is off by a millionth."""
    real = proofs.matrix_of

    def wrong(windows: object) -> object:
        made = real(windows)
        made.entries.data[0] += 1e-6
        return made

    monkeypatch.setattr(proofs, "matrix_of", wrong)


def test_layer_is_proved(run: Callable[..., Outcome]) -> None:
    outcome = run(*SMALL, "--json")
    assert outcome.code == 0
    assert outcome.text.count("e-1") >= 3
    assert "2,500  connections as counted = entries of the Jacobian that are not 0" in outcome.text
    found = Verification.model_validate(json.loads(outcome.data)["verification"])
    assert found.is_proved
    assert found.connections == 25 * 25 * 4


def test_a_failed_proof_is_shown_and_ends_with_4(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    break_matrix(monkeypatch)
    outcome = run(*SMALL)
    assert outcome.code == 4
    assert "FAILS  layer(x) = T x + b" in outcome.text
    assert "matrix differs by" in outcome.text
    assert "dense_gradient differs by" in outcome.text
    network = run(*NETWORK, "--verify", "--json")
    assert network.code == 4
    assert "FAILS" in network.text
    assert "0: matrix differs by" in network.text
    assert json.loads(network.data)["verifications"]


def test_inspect_says_what_layers_see_and_proves_them(run: Callable[..., Outcome]) -> None:
    outcome = run(*NETWORK, "--fields", "--verify", "--json")
    assert outcome.code == 0
    for told in ("1      5 x 5  2     -1     34 %", "4      all                 100 %"):
        assert told in outcome.text
    report = json.loads(outcome.data)
    sizes = {one["name"]: [axis["size"] for axis in one["field"]["axes"]] for one in report["fields"]["layers"]}
    assert sizes["1"] == [5, 5]
    assert [one["name"] for one in report["verifications"]] == ["0", "1", "2", "4"]
    short = run(*NETWORK).text.replace("\n ", "")
    assert "One place of 1 can see 5 x 5 pixels of 8 x 8 and the next one 2 further" in short


def test_an_onnx_file_cannot_be_proved(run: Callable[..., Outcome], demo_run: object) -> None:
    outcome = run("inspect", str(demo_run.run / "model.onnx"), "--verify")
    assert outcome.code == 2
    assert "network in torch is needed" in outcome.text


def test_a_run_is_proved_with_its_own_weights(run: Callable[..., Outcome], demo_run: object) -> None:
    outcome = run("inspect", str(demo_run.run), "--verify", "--json")
    assert outcome.code == 0, outcome.text
    found = [Verification.model_validate(one) for one in json.loads(outcome.data)["verifications"]]
    assert found
    assert all(one.is_proved for one in found)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_lines_keep_within_80_columns(language: str) -> None:
    report = count_fields(PUBLISHED["ResNet-50"][0]().graph())
    lines = [*field_lines(report, language), *field_summary(report, language)]
    some = Proof(name="matrix", difference=1e-15, tolerance=1e-12, is_proved=True)
    none = Proof(name="local_twin", reason="proof_no_weights")
    rest = [Proof(name=name, difference=0.5, is_proved=False) for name in ("summed_gradient", "dense_gradient")]
    proved = (none, some, *rest, Proof(name="support", difference=0, is_proved=True))
    shape = {"layer": "Conv2d", "input_shape": (64, 224, 224), "tried_shape": (2, 30, 30)}
    one = Verification(name="a" * 60, **shape, channels=(2, 2), all_channels=(64, 64), proofs=proved, connections=10**6)
    skipped = Verification(name="big", layer="Linear", input_shape=(9,), reason="it would take long " * 8)
    lines += verification_lines([one], language) + verification_lines([one, one, skipped], language)
    side = Estimate(value=31, low=29, high=35, n=20)
    squares = (MassSquare(share=0.5, side=side),)
    lines += effective_lines(
        EffectiveField(layer="layer2", input_size=(224, 224), n=20, theoretical=(99, 99), squares=squares, seed=0),
        language,
    )
    assert [line for line in lines if cell_len(line) > 80] == []
    assert any("193" in line and "225" in line for line in lines)


def test_what_is_odd_is_told_in_the_lines() -> None:
    net = DrawnGraph(8, 8)
    left = net.window("picture", (2, 2))
    right = net.window(net.window("picture", 3, padding=1), 2)
    both = net.meet(left, right, kind="concatenate")
    net.shapes[both] = (1, 2, 7, 7)
    half = net.add("slice", "same", [both], (7, 7))
    gate = net.everywhere(half, 1, 1)
    net.window(net.meet(half, gate), 3, 3)
    net.add("not_analyzed", "unknown", [net.nodes[-1].outputs[0]], (2, 2), reason="a sort")
    lines = "\n".join(field_lines(count_fields(net.graph()), "en"))
    for told in (
        "6 x 6 + all  3",
        "<= 100 % (<= ",
        "upper bound",
        "not analyzed: not_analyzed8: a sort",
        "1 layer use",
    ):
        assert told in lines or told.replace("(<= ", "(") in lines
    assert "same middle" in lines
