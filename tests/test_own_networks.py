"""Networks of one's own: what cannot end in a file is refused before step 1, and the usual ways of writing train."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_training import tiny_plan, write_bars
from whyconv import workflow
from whyconv.errors import UsageError
from whyconv.nets import require_network
from whyconv.own_networks import try_planned

OWN = """
import torch
from torch import nn
class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)
        self.last = nn.Linear(3, 2)
    def forward(self, x):
        return self.last(self.middle(self.first(x)).mean(dim=(2, 3)))
class Loops(Own):
    def forward(self, x):
        return torch.stack([super(Loops, self).forward(each[None])[0] for each in x])
    middle = staticmethod(torch.relu)
class Decides(Own):
    def middle(self, x):
        return x * 2 if x.mean() > 0.2 else x
class Mixes(Own):
    def middle(self, x):
        return self.norm(x).relu()
class HidesMixing(Own):
    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
    def middle(self, x):
        return x
    def forward(self, x):
        rows = self.last(self.first(x).mean(dim=(2, 3)))
        return rows - rows.mean(dim=0, keepdim=True)
class Views(Own):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(3 * 36, 2)
    def forward(self, x):
        x = self.first(x)
        return self.last(x.view(x.size(0), -1))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_networks_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("Loops", r"it takes 2 pictures once it is written as ONNX, never more or fewer\. Expected .* without a loop"),
        ("Decides", r"could not end with model\.onnx\. The network cannot be written as ONNX: .*torch\.where in place"),
        ("Mixes", r"depends on the pictures beside it.*track_running_stats=True"),
        ("HidesMixing", r"depends on the pictures beside it"),
    ],
)
def test_what_no_file_can_be_made_of_is_refused(own: str, made: str, words: str) -> None:
    require_network(f"{own}:{made}")
    with pytest.raises(UsageError, match=rf"^{own}:{made} is not trained.*{words}"):
        try_planned(tiny_plan(network=f"{own}:{made}", members=3, views=["upright", "mirrored"]), 1)


def test_a_network_that_flattens_by_view_is_trained_and_every_start_tries_it_before(
    own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, places = str(write_bars(tmp_path / "bars", 40)), {"out": "runs", "store": "store"}
    words = {"network": f"{own}:Views", "epochs": 1, "flips": "off", "threads": 1, **places}
    summary = workflow.train(pictures, only_model=True, **words)
    assert summary.parity.is_equal
    assert workflow.evaluate(Path(summary.run)).test.confusion == summary.test.confusion
    tried = []

    def refuse(*given: object) -> None:
        tried.append(given)
        raise UsageError("tried")

    monkeypatch.setattr("whyconv.own_networks._try", refuse)
    Path(summary.run, "summary.json").unlink()
    for start in (
        lambda: workflow.train(pictures, **words),
        lambda: workflow.train_from_file(Path(summary.run, "run.toml"), out="runs"),
        lambda: workflow.resume(Path(summary.run)),
    ):
        with pytest.raises(UsageError, match=r"^tried"):
            start()
    assert [(sizes.name, sizes.side, threads) for sizes, threads in tried] == [(f"{own}:Views", 8, 1)] * 3
