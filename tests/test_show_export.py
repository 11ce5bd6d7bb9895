"""What an export proved is told with its numbers, in both languages."""

from __future__ import annotations

import pytest

from whyconv.results import Parity
from whyconv.results.export import ExportReport, ResizeDifference
from whyconv.show.export import export_lines

PARITY = Parity(n=1234, num_same_answer=1234, largest_difference=3.2e-6, tolerance=1e-4)
RESIZE = ResizeDifference(
    n=500,
    num_same_answer=497,
    largest_difference=0.021,
    mean_levels=0.31,
    largest_levels=17,
    largest_rounding=1,
    differing_fraction=0.0011,
)
REPORT = ExportReport(
    run="runs/pets-1",
    path="my files/pets.onnx",
    kind="onnx",
    num_bytes=7_900_000,
    pictures="test",
    against="torch",
    parity=PARITY,
    batches=[1, 2, 17],
    num_folded=3,
    resize=RESIZE,
    data_digest="ab" * 32,
)


def said(report: ExportReport, language: str) -> str:
    return " ".join(" ".join(export_lines(report, language)).split())


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_number_is_there(language: str) -> None:
    text = said(REPORT, language)
    for number in ("1,234", "3.2e-06", "1, 2, 17", "500", "497", "2.1e-02", "0.31", "17", "0.11 %", "7.9 MB"):
        assert number in text
    assert "whyconv predict 'my files/pets.onnx' PICTURES" in text
    assert all(len(line) <= 80 for line in export_lines(REPORT, language)[:-2])


def test_what_was_not_compared_with_torch_is_said() -> None:
    text = said(REPORT.model_copy(update={"against": "model.onnx", "resize": None, "num_folded": 0}), "en")
    assert "the run's model.onnx" in text
    assert "torch has no such network" in text
    assert "folded" not in text
    assert "height" not in text


def test_a_folder_for_torch_says_how_it_is_opened() -> None:
    text = said(REPORT.model_copy(update={"kind": "torch", "path": "pets-torch", "resize": None}), "en")
    assert text.endswith("In Python: network = whyconv.open_torch('pets-torch')")
