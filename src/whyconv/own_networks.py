"""What a network of one's own must be able to do, found out before it is trained: every run ends with a file of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from whyconv.errors import ModelFileError, UsageError
from whyconv.export import exported, metadata_for
from whyconv.images.prepare import PicturePolicy
from whyconv.nets import build_planned
from whyconv.nets.windowed import window_for
from whyconv.onnx_file.running import Session, open_session, run_session
from whyconv.settings import NetworkPlan, Plan, TrainSettings
from whyconv.training.evaluate import softmax
from whyconv.training.logits import network_logits
from whyconv.training.torch_habits import torch_habits

# Of the largest number of an answer: far above what is left of rounding, far below what another picture changes.
_MOST_DIFFERENCE = 1e-3
# Lightest and darkest level of each picture: so unlike that none can pass for another.
_LEVELS = (0, 60), (190, 256), (0, 256)
_OUTPUTS = "probabilities", "features"


def try_asked(settings: TrainSettings, policy: PicturePolicy, classes: Sequence[str], threads: int) -> None:
    """Tries the network that is asked for, where it is one of the user's own, before there is a plan.

    Args:
        settings: What was asked.
        policy: Of its pictures.
        classes: Theirs.
        threads: Of the processor.

    Raises:
        UsageError: Its run could not end with a file that answers about any number of pictures, each for itself; says
            what is wrong and what to do.
    """
    if ":" not in settings.network:
        return
    sizes = NetworkPlan(
        name=settings.network,
        in_channels=policy.channels,
        side=policy.side,
        classes=list(classes),
        mean=[0.0] * policy.channels,
        std=[1.0] * policy.channels,
        views=["upright"],
        invariant=settings.invariant,
        window=window_for(policy.side) if settings.invariant == "realistic" else None,
    )
    _try(sizes, threads)


def try_planned(plan: Plan, threads: int) -> None:
    """The same for the network of a plan.

    Raises:
        UsageError: As ``try_asked`` has it; or the network is code of others, which was not allowed.
    """
    if plan.frozen is None and ":" in plan.network.name:
        _try(plan.network, threads)


def _try(sizes: NetworkPlan, threads: int) -> None:
    mean, std = [127.5] * sizes.in_channels, [64.0] * sizes.in_channels
    sizes = sizes.model_copy(update={"members": 1, "views": ["upright"], "mean": mean, "std": std})
    with torch_habits(threads):
        torch.manual_seed(0)
        network, pictures = build_planned(sizes), _unlike_pictures(sizes)
        _fill_zeros(network)
        session = _as_file(network, sizes, threads)
        try:
            together = run_session(session, _OUTPUTS, {"pixels": pictures}, sizes.name)
            alone = [run_session(session, _OUTPUTS, {"pixels": each[None]}, sizes.name) for each in pictures]
        except ModelFileError as error:
            raise _refusal(sizes.name, f"answers about two pictures only: {error}") from error
        _require_each_for_itself(sizes.name, together, [np.concatenate(each) for each in zip(*alone, strict=True)])
        _require_torchs_answer(sizes.name, softmax(network_logits(network, pictures, sizes)), together[0])


def _fill_zeros(network: nn.Module) -> None:
    """Gives weights that start as zeros others: what they hide would come to light only after the training."""
    for weights in network.parameters():
        if weights.is_floating_point() and not weights.any():
            nn.init.normal_(weights, std=0.1)


def _unlike_pictures(sizes: NetworkPlan) -> NDArray[np.uint8]:
    generator, shape = np.random.default_rng(0), (sizes.side, sizes.side, sizes.in_channels)
    return np.stack([generator.integers(*levels, size=shape, dtype=np.uint8) for levels in _LEVELS])


def _as_file(network: nn.Module, sizes: NetworkPlan, threads: int) -> Session:
    """The network in ONNX, whose first axis is free."""
    policy = PicturePolicy(side=sizes.side, channels=sizes.in_channels)
    try:
        content = exported(network, metadata_for(sizes, policy, 1.0, {}), sizes)
    except ModelFileError as error:
        raise UsageError(
            f"{sizes.name} is not trained: its run could not end with model.onnx. {error} Expected a forward that "
            "decides nothing by the values of pictures: torch.where in place of if, no .item()."
        ) from error
    session = open_session(content, threads, sizes.name)
    bound = [str(given.shape[0]) for given in session.get_inputs() if isinstance(given.shape[0], int)]
    if bound:
        raise _refusal(sizes.name, f"takes {bound[0]} pictures once it is written as ONNX, never more or fewer")
    return session


def _refusal(name: str, what: str) -> UsageError:
    return UsageError(
        f"{name} is not trained: it {what}. Expected a forward that computes all pictures at once: without a loop over "
        "them, and with x.shape[0] where it needs their number, for len(x) is fixed once it is written."
    )


def _require_each_for_itself(
    name: str, together: Sequence[NDArray[np.float32]], alone: Sequence[NDArray[np.float32]]
) -> None:
    for what, found, expected in zip(_OUTPUTS, together, alone, strict=True):
        if not _is_alike(found, expected):
            raise UsageError(
                f"{name} is not trained: its answer about a picture depends on the pictures beside it, or is another "
                f"each time ({what}). Expected, in evaluation mode, what follows from each picture alone: "
                "normalization by running statistics (track_running_stats=True), no mean over the batch, no random "
                "numbers."
            )


def _require_torchs_answer(name: str, expected: NDArray[np.float64], found: NDArray[np.float32]) -> None:
    if not _is_alike(found, expected):
        difference = float(np.abs(found - expected).max())
        raise UsageError(
            f"{name} is not trained: written as ONNX it answers otherwise than in torch (probabilities differ by up to "
            f"{difference:.2g}). Expected operations that are the same in both; exchange the last that was added."
        )


def _is_alike(found: NDArray[np.floating], expected: NDArray[np.floating]) -> bool:
    """Whether two answers are one but for rounding."""
    if found.shape != expected.shape:
        return False
    allowed = _MOST_DIFFERENCE * np.abs(expected).max(initial=0)
    return np.allclose(found, expected, rtol=0, atol=allowed, equal_nan=True)
