"""Where a training begins: at the newest state of its run folder, where there is one, in all its processes alike."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from torch import Tensor

from whyconv.errors import ModelFileError, UsageError
from whyconv.results import Notify
from whyconv.settings import Plan
from whyconv.texts import as_typed
from whyconv.training.checkpoint import load_state, require_known_state
from whyconv.training.distributed import Group
from whyconv.training.rotation import load_newest, states
from whyconv.training.run_folder import CHECKPOINTS

# Under these names a state has J of every step of the epoch that it was saved in.
EPOCH, LOSSES = "epoch", "losses"
_KINDS = {
    "plan": str,
    "is_out_of_time": bool,
    "epoch": int,
    "step": int,
    "best_epoch": int,
    "seconds": float,
    LOSSES: list,
    "num_right": int,
}


class State(NamedTuple):
    """What was read of a checkpoint; the optimizer has its part already.

    Attributes:
        path: Where from, for messages.
        tensors: State dicts by name.
        progress: What the loop has counted.
    """

    path: Path
    tensors: dict[str, dict[str, Tensor]]
    progress: dict[str, Any]


def refuse_newer(run: Path) -> None:
    """Refuses a run whose newest state a newer whyconv wrote, before anything is written there.

    Raises:
        NewerFormatError: It did. What is damaged is left to who goes on.
    """
    for newest in states(run / CHECKPOINTS)[:1]:
        require_known_state(newest)


def state_to_go_on_from(
    run: Path | None, plan: Plan, optimizer: torch.optim.Optimizer, group: Group, notify: Notify
) -> State | None:
    """The newest state in the leader's run folder that is whole; None where there is none.

    Args:
        run: The run folder; None for other processes than the leader, which are sent the leader's state.
        plan: Of the training.
        optimizer: Gets its part of the state.
        group: The processes that train together; all of them ask.
        notify: Told of damaged states.

    Raises:
        UsageError: The state is of another plan.
        ModelFileError: No state can be used.
    """
    newest = _newest(run, plan, optimizer, notify) if run is not None and states(run / CHECKPOINTS) else None
    if group.size == 1:
        return newest
    content = group.content(newest.path.read_bytes() if newest is not None else b"")
    if group.leads or not content:
        return newest
    with TemporaryDirectory() as place:
        path = Path(place) / "state.safetensors"
        path.write_bytes(content)
        return _read(optimizer, path)


def _newest(run: Path, plan: Plan, optimizer: torch.optim.Optimizer, notify: Notify) -> State:
    _, newest = load_newest(run / CHECKPOINTS, partial(_read, optimizer), notify)
    if newest.progress["plan"] != plan.digest:
        raise UsageError(
            f"{run}/run.toml is not the plan that this run was started with. To go on, put it back as it was; to "
            f"train anew by the changed plan:  whyconv train --config {as_typed(run / 'run.toml')}"
        )
    return newest


def _read(optimizer: torch.optim.Optimizer, path: Path) -> State:
    """Reads a state and makes sure that all is there."""
    tensors, progress = load_state(path, optimizer)
    # The first format has them in its progress, as a list.
    losses = tensors.get(EPOCH, {}).get(LOSSES)
    if losses is not None and LOSSES not in progress:
        progress[LOSSES] = losses.tolist()
    is_whole = all(isinstance(progress.get(key), kind) for key, kind in _KINDS.items())
    if not is_whole or not tensors.keys() >= {"network", "averaged", "best"}:
        raise ModelFileError(f"{path} is no checkpoint of this training: something is missing.")
    return State(path, tensors, progress)
