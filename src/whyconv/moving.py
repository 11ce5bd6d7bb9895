"""How far a run's own answers hold when its test pictures are moved."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.images.split import TEST
from whyconv.machine import threads_here
from whyconv.measures.shifting import all_shifts, usual_reach
from whyconv.measures.translation import translation
from whyconv.pretrained import upright_alone
from whyconv.recognizer import Recognizer, open_recognizer
from whyconv.results import Note, Notify, Progress, Record
from whyconv.results.translation import ShiftKind, Translation
from whyconv.results.why import NotMeasured
from whyconv.settings import Plan
from whyconv.training.logits import normalize
from whyconv.training.pictures import Division, parts_of
from whyconv.training.pixel_rows import evenly_chosen
from whyconv.training.run_folder import WEIGHTS
from whyconv.training.stored import build_stored
from whyconv.training.torch_habits import torch_habits

KINDS: tuple[ShiftKind, ...] = ("crop", "zero", "circular")
# Where all usual shifts of enough pictures take too long, these many pixels each way are tried.
_LEAST_REACH = 2
_ENOUGH, _MOST, _LEAST_PICTURES = 100, 1000, 20
_PROBED = 8


class Moved(Record):
    """What came out.

    Attributes:
        measured: One for each kind of shift that could be.
        not_measured: The other kinds.
        left_out: What the time did not allow, by its name in the sentences.
    """

    measured: list[Translation]
    not_measured: list[NotMeasured]
    left_out: list[str]


def measure_moved(  # noqa: PLR0913
    run: Path,
    plan: Plan,
    division: Division,
    notify: Notify,
    *,
    seconds: float,
    seed: int,
    check_stop: Callable[[], None] = lambda: None,
) -> Moved:
    """Asks a run's network about its moved test pictures.

    Networks are asked alone, without test-time views. What started from a frozen network exists in one piece only as
    the exported file, which is asked about the upright view alone; where it has none, with the views it has.

    Args:
        run: The run folder.
        plan: Of the run.
        division: Of its pictures.
        notify: Told how far it has come.
        seconds: For all kinds together; decides how many pictures and shifts there are.
        seed: Of the intervals.
        check_stop: Called before each kind; may raise.
    """
    network = network_of(run, plan)
    measured: list[Translation] = []
    missing: list[NotMeasured] = []
    for count, kind in enumerate(KINDS):
        check_stop()
        notify(Progress(stage="translation", done=count, total=len(KINDS)))
        found = _measure(network, plan, division, notify, kind, seconds=seconds / len(KINDS), seed=seed)
        if isinstance(found, Translation):
            measured.append(found)
        else:
            missing.append(found)
    notify(Progress(stage="translation", done=len(KINDS), total=len(KINDS)))
    left_out = _tell_nearer(measured, plan.network.side, notify)
    return Moved(measured=measured, not_measured=missing, left_out=left_out)


def _tell_nearer(measured: list[Translation], side: int, notify: Notify) -> list[str]:
    """Says where pictures were not moved as far as usual; returns the name of what was left out then."""
    usual = usual_reach(side, side)
    nearer = [one for one in measured if one.protocol.reach < usual]
    for one in nearer[:1]:
        values = {"reach": int(one.protocol.reach), "shifts": len(one.protocol.shifts)}
        all_of_them = len(all_shifts(one.protocol.kind, usual))
        notify(Note(key="moved_nearer", values=values | {"usual": usual, "all": all_of_them}))
    return ["farther"] if nearer else []


class _Served(nn.Module):
    """The exported file as a module: pixels (n, c, h, w) in [0, 255] to logarithms of probabilities.

    Args:
        recognizer: The file.
        views: "none" where it looks at the upright view alone, "file" where it averages those it has.
    """

    def __init__(self, recognizer: Recognizer, views: Literal["none", "file"]) -> None:
        super().__init__()
        self._recognizer = recognizer
        self.views = views

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.permute(0, 2, 3, 1).round().to(torch.uint8).contiguous().numpy()
        return torch.from_numpy(self._recognizer.run(pixels).probabilities).clamp_min(1e-12).log()


def network_of(run: Path, plan: Plan) -> nn.Module:
    """A run's network: of torch's, or, where it started from a frozen one, its exported file in the place of one."""
    if plan.frozen is None:
        return build_stored(plan.network, run / WEIGHTS).eval()
    served = open_recognizer(run, num_threads=threads_here(plan.threads))
    alone = upright_alone(served.content, plan.network.views)
    if alone is None:
        return _Served(served, "file")
    return _Served(Recognizer(alone, num_threads=served.num_threads), "none")


def _measure(
    network: nn.Module, plan: Plan, division: Division, notify: Notify, kind: ShiftKind, **limits: float
) -> Translation | NotMeasured:
    side, is_real = plan.network.side, kind == "crop"
    with torch_habits(threads_here(plan.threads)):
        reach, most = _affordable(network, plan, kind, limits["seconds"])
        if reach < 1:
            return NotMeasured(what=kind, reason="why_too_small")
        looked_at = side + 2 * reach if is_real else side
        rows = _rows(division, looked_at if is_real else 0)
        if len(rows) < _LEAST_PICTURES:
            return NotMeasured(what=kind, reason="why_few_real" if is_real else "why_few_test")
        test = parts_of(plan, division, notify, side=looked_at, read_once=True)[1][2].data
        rows = rows[evenly_chosen(len(rows), most)]
        pictures = torch.from_numpy(np.array(test.pixels[rows]).transpose(0, 3, 1, 2)).float()
        if plan.frozen is None:
            pictures = normalize(pictures, plan.network)
        labels = test.labels[rows].astype(np.int64)
        found = translation(network, pictures, labels, kind, reach=reach, seed=int(limits["seed"]))
    if not isinstance(network, _Served):
        return found
    return found.model_copy(update={"protocol": found.protocol.model_copy(update={"views": network.views})})


def _affordable(network: nn.Module, plan: Plan, kind: ShiftKind, seconds: float) -> tuple[int, int]:
    """How far pictures are moved, and how many of them: the usual reach where enough pictures can be moved so far."""
    usual = usual_reach(plan.network.side, plan.network.side)
    each = _seconds_each(network, plan)

    def most(reach: int) -> int:
        return int(seconds / (each * (1 + len(all_shifts(kind, reach)))))

    reach = usual if most(usual) >= _ENOUGH else min(usual, _LEAST_REACH)
    return reach, max(_LEAST_PICTURES, min(most(reach), _MOST)) if reach else 0


def _seconds_each(network: nn.Module, plan: Plan) -> float:
    """Of one look at one picture."""
    shape = (_PROBED, plan.network.in_channels, plan.network.side, plan.network.side)
    sample = torch.zeros(shape).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        network(sample)
        began = time.perf_counter()
        network(sample)
    return (time.perf_counter() - began) / _PROBED


def _rows(division: Division, side: int) -> NDArray[np.int64]:
    """Rows of the test part whose originals have at least so many pixels along their longer side, one of each group."""
    survey, tested = division.inspection.survey, division.indices(TEST)
    rows = np.flatnonzero(np.maximum(survey.widths[tested], survey.heights[tested]) >= side)
    return rows[np.sort(np.unique(division.groups[tested][rows], return_index=True)[1])]
