"""Which heads have a class activation map, and why others have none, told from files of small networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from evidence_files import drawn, export_network
from whyconv.evidence import Explainer, evidence_map
from whyconv.settings import NetworkPlan, View

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

MEAN, STD, SIDE, WIDTH, CLASSES = 77.0, 95.0, 8, 6, 3


class Base(nn.Module):
    """A map of ``WIDTH`` channels and 4 x 4 places; what comes behind it is another's."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, WIDTH, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.fc, self.places = nn.Linear(WIDTH, CLASSES), nn.Conv2d(WIDTH, CLASSES, 1)
        self.wide, self.flat = nn.Linear(SIDE**2, CLASSES), nn.Linear(WIDTH * 16, CLASSES)


class MeanOfWindow(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(functional.avg_pool2d(self.body(x), 4).flatten(1))


class LargestOfWindow(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(functional.max_pool2d(self.body(x), 4).flatten(1))


class MeanOfClasses(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.places(self.body(x)).mean(dim=(2, 3))


class DeepAndWide(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).mean(dim=(2, 3))) + self.wide(x.flatten(1))


class RectifiedMeans(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(functional.relu(self.body(x).mean(dim=(2, 3))))


class OddWindow(Base):
    """A window of the map's size that begins in the padding: its mean is not that of the places."""

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(functional.avg_pool2d(self.body(x), 4, padding=1).flatten(1))


class Flattened(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.flat(self.body(x).flatten(1))


class FlattenedTwice(Base):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(WIDTH * 16, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.tanh(self.hidden(self.body(x).flatten(1))))


def exported(network: nn.Module, folder: Path, views: tuple[View, ...] = ("upright",)) -> Explainer:
    plan = NetworkPlan(
        name="small", side=SIDE, in_channels=1, classes=["a", "b", "c"], mean=[MEAN], std=[STD], views=list(views)
    )
    return export_network(folder / "model.onnx", network.eval(), plan)


@pytest.mark.parametrize("views", [("upright",), ("upright", "mirrored")], ids=len)
@pytest.mark.parametrize("kind", [MeanOfWindow, LargestOfWindow])
def test_a_window_over_the_whole_map_pools_all_places(
    kind: type[Base], views: tuple[View, ...], tmp_path: Path
) -> None:
    network = kind()
    explainer = exported(network, tmp_path, views)
    pixels = drawn(explainer)[0]
    x = (torch.from_numpy(pixels).permute(2, 0, 1)[None].double() - MEAN) / STD
    seen = [x if view == "upright" else x.flip(3) for view in views]
    for label in range(CLASSES):
        found = evidence_map(explainer, pixels, label)
        assert (found.kind, found.pooling) == ("class activation", "mean" if kind is MeanOfWindow else "largest")
        with torch.no_grad():
            network = network.double()
            maps = [network.body(each)[0] for each in seen]
            each = maps if kind is MeanOfWindow else [one * (one == one.amax((1, 2), keepdim=True)) for one in maps]
            parts = [torch.einsum("c,chw->hw", network.fc.weight[label], one) for one in each]
            parts = [one / 16 for one in parts] if kind is MeanOfWindow else parts
            logits = torch.stack([network(one)[0, label] for one in seen])
        back = [one if view == "upright" else one.flip(1) for one, view in zip(parts, views, strict=True)]
        assert found.values == pytest.approx(torch.stack(back).mean(0).numpy(), abs=1e-5)
        assert np.sum(found.values) + found.bias == pytest.approx(float(logits.mean()), abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        *((each, "unknown") for each in (MeanOfClasses, DeepAndWide, RectifiedMeans, OddWindow)),
        *((each, "dense") for each in (Flattened, FlattenedTwice)),
    ],
)
def test_the_reason_for_no_map_is_the_true_one(kind: type[Base], why: str, tmp_path: Path) -> None:
    assert exported(kind(), tmp_path).head == why
