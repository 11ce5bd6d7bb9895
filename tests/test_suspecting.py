"""Which labels are worth a look: what layers say, who is judged by what, and the table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from tiny_training import bars, tiny_plan, write_bars
from whyconv import workflow
from whyconv.export import export, export_maps, metadata_for
from whyconv.images.prepare import PicturePolicy
from whyconv.results import RunSummary, Suspect
from whyconv.suspecting import Judged, looks_of_layers, rows_to_judge, suspects_among, write_suspects

CLASSES = ("cat", "dog", "eel")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars, one of which lies in the folder of the other class."""
    folder = tmp_path_factory.mktemp("suspecting")
    write_bars(folder / "bars", 200, seed=0)
    first, second = sorted(path for path in (folder / "bars").iterdir() if path.is_dir())
    strayed = sorted(first.iterdir())[7]
    strayed.rename(second / f"strayed{strayed.suffix}")
    return folder


@pytest.fixture(scope="module")
def summary(place: Path) -> RunSummary:
    words = {"network": "lesson", "epochs": 10, "flips": "off", "threads": 1, "test_fraction": 0.2}
    return workflow.train(str(place / "bars"), **words, out=str(place / "runs"), store=str(place / "store"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_strayed_picture_comes_first(summary: RunSummary) -> None:
    suspects = summary.suspects
    assert suspects is not None
    assert suspects.n == suspects.num_pictures == 200
    assert Path(suspects.first[0].name).stem == "strayed"
    assert suspects.num_doubted <= 20


def test_the_table_holds_what_was_counted_in_the_order_of_doubt(summary: RunSummary) -> None:
    rows, suspects = rows_of(Path(summary.run, "suspects.csv")), summary.suspects
    assert suspects is not None
    assert len(rows) == suspects.num_doubted
    assert sum(row["sure"] == "true" for row in rows) == suspects.num_sure
    assert [row["path"] for row in rows[:24]] == [each.name for each in suspects.first]
    own, other = ([float(row[column]) for row in rows] for column in ("probability_label", "probability_likely"))
    assert own == sorted(own)
    assert all(low < high for low, high in zip(own, other, strict=True))


def test_the_report_and_the_terminal_show_the_first(summary: RunSummary) -> None:
    page = Path(summary.run, "report.html").read_text(encoding="utf-8")
    assert 'id="suspects"' in page
    assert "strayed" in page


def test_other_pictures_are_judged_by_the_answers(summary: RunSummary, place: Path) -> None:
    other = write_bars(place / "other", 40, seed=5)
    first, second = sorted(path for path in other.iterdir() if path.is_dir())
    moved = sorted(first.iterdir())[3]
    moved.rename(second / f"moved{moved.suffix}")
    found = workflow.evaluate(Path(summary.run), str(other))
    assert found.suspects is not None
    assert found.suspects.n == found.test.n == 40
    assert [Path(each.name).stem for each in found.suspects.first][:1] == ["moved"]
    assert found.suspects.first[0].part == "pictures"
    assert workflow.evaluate(Path(summary.run)).suspects == summary.suspects


def test_layers_look_as_their_maps_do(summary: RunSummary) -> None:
    path, pixels = Path(summary.run, "why.onnx"), bars(70, seed=3).pixels
    looks = looks_of_layers(path, pixels, 1)
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    maps = dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))
    means = [each.mean(axis=(2, 3)) for each in maps.values() if each.ndim == 4]
    assert len(means) == 6
    for look, wanted in zip(looks, [*(means[place] for place in (0, 1, 2, 4, 5)), maps["features"]], strict=True):
        assert look == pytest.approx(wanted, abs=1e-4)


class Patches(nn.Module):
    """Makes four pictures of every map, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.whole, self.each, self.head = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 5, 3), nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.whole(x).unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 4, 4)
        return self.head(self.each(patches).mean(dim=(2, 3)).reshape(x.shape[0], -1, 5).mean(dim=1))


def test_a_layer_whose_rows_are_other_than_views_of_the_pictures_is_left_out(tmp_path: Path) -> None:
    plan, pixels = tiny_plan(views=["upright", "mirrored"]).network, bars(35).pixels
    export(tmp_path / "model.onnx", Patches(), metadata_for(plan, PicturePolicy(side=8, channels=1), 1.0, {}), plan)
    export_maps(tmp_path / "why.onnx", tmp_path / "model.onnx")
    looks = looks_of_layers(tmp_path / "why.onnx", pixels, 1)
    assert [look.shape for look in looks] == [(35, 3), (35, 5)]
    alone = looks_of_layers(tmp_path / "why.onnx", pixels[33:34], 1)
    np.testing.assert_allclose(looks[0][33:34], alone[0], atol=1e-4)
    np.testing.assert_allclose(looks[-1][33:34], alone[-1], atol=1e-4)


@pytest.mark.parametrize(
    ("num_train", "num_epochs", "side", "expected"),
    [
        (4000, 15, 128, 4000),
        (4000, 30, 128, 4000),
        (4000, 12, 128, 2560),
        (4000, 3, 128, 500),
        (4000, 3, 64, 2000),
        (4000, 3, 32, 4000),
        (4000, 1, 4096, 18),
        (5, 1, 4096, 2),
        (1, 1, 8, 1),
        (1_000_000, 10, 8, 50_000),
    ],
)
def test_few_are_judged_where_little_was_learned_and_they_are_large(
    num_train: int, num_epochs: int, side: int, expected: int
) -> None:
    rows = rows_to_judge(num_train, num_epochs, side)
    assert len(rows) == len(set(rows.tolist())) == expected
    assert rows.max() < num_train


def test_of_thousands_of_classes_fewer_are_judged() -> None:
    assert len(rows_to_judge(1_000_000, 15, 8, 1000)) == 50_000
    assert len(rows_to_judge(1_000_000, 15, 8, 10_000)) == 5_000


def test_parts_are_ranked_together_and_claims_are_their_own() -> None:
    labels = np.array([0, 1, 0], np.int32)
    timid = Judged("train", ["a", "b", "c"], labels, np.array([[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.3, 0.45, 0.25]]))
    bold = Judged("test", ["d", "e", "f"], labels, np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.9, 0.0, 0.1]]))
    counted, suspects = suspects_among([timid, bold], CLASSES, num_pictures=9)
    assert [(each.name, each.part, each.label, each.likely) for each in suspects] == [
        ("c", "train", "cat", "dog"),
        ("e", "test", "dog", "cat"),
    ]
    # In the one part 0.45 is more than dogs have for dog (0.4); in the other 0.6 is less than cats for cat (0.9).
    assert [each.is_sure for each in suspects] == [True, False]
    assert (counted.n, counted.num_pictures, counted.num_doubted, counted.num_sure) == (6, 9, 2, 1)


def test_names_are_no_formulas_in_the_table(tmp_path: Path) -> None:
    suspect = Suspect(
        name="=1+1.png",
        part="test",
        label="@cat",
        likely="dog",
        probability_label=0.1,
        probability_likely=0.9,
        is_sure=True,
    )
    write_suspects(tmp_path / "suspects.csv", [suspect])
    assert rows_of(tmp_path / "suspects.csv")[0] == {
        **{"path": "'=1+1.png", "part": "test", "label": "'@cat", "likely": "dog"},
        **{"probability_label": "0.100000", "probability_likely": "0.900000", "sure": "true"},
    }
