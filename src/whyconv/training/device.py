"""Where a network is trained: on the processor, or on an NVIDIA card that torch can use."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.machine import graphics_card
from whyconv.settings import Device, Plan
from whyconv.texts import size

CPU = torch.device("cpu")


def device_for(asked: Literal["auto", "cpu", "cuda"], *, have_cards: bool, num_processes: int = 1) -> Device:
    """What was asked for; of "auto" the card, where there is one and one process trains.

    Args:
        asked: By the user.
        have_cards: Whether torch can compute on a card in each of the processes that train.
        num_processes: That train together.

    Raises:
        UsageError: The card is asked for, and torch can use none; says why.
    """
    if asked == "cuda" and not have_cards:
        reason = why_no_card() or "another of the processes has no card that torch can use."
        raise UsageError(f"--device cuda: {reason} Expected --device cpu, or auto, which takes what there is.")
    is_usual = asked == "auto" and num_processes == 1
    return "cuda" if have_cards and (asked == "cuda" or is_usual) else "cpu"


@cache
def why_no_card() -> str | None:
    """Why torch cannot compute on a card here, as one adds two numbers to find out; None where it can."""
    version = f"torch {torch.__version__}"
    if torch.version.cuda is None:
        return f"{version} was built without CUDA; https://pytorch.org says how to install one with it."
    if not torch.cuda.is_available():
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        if hidden is not None:
            return f"CUDA_VISIBLE_DEVICES = {hidden!r} shows no card to torch."
        found = graphics_card()
        if found is None:
            return "this machine shows no NVIDIA card."
        return f"{version} (CUDA {torch.version.cuda}) cannot use the {found}: is its driver too old?"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what does not work is told as an error right below
            is_right = float(torch.ones(1, device=_own_card()) + 1) == 2.0
    except RuntimeError as error:
        return f"{version} (CUDA {torch.version.cuda}) cannot compute on the card: {str(error).splitlines()[0]}."
    return None if is_right else "the card computes wrongly."


def has_card() -> bool:
    """Whether torch can compute on a card in this process."""
    return why_no_card() is None


def card_name() -> str | None:
    """The card that a training here would be on; None where torch can use none."""
    return torch.cuda.get_device_name(_own_card()) if has_card() else None


def place_of(plan: Plan) -> torch.device:
    """Where this process trains by ``plan``: on its card, or, where there is none now, on the processor."""
    return _own_card() if plan.device == "cuda" and has_card() else CPU


def _own_card() -> torch.device:
    """Of several processes on a machine each has one, as long as there are enough."""
    rank = os.environ.get("LOCAL_RANK", "0")
    return torch.device("cuda", int(rank) % torch.cuda.device_count() if rank.isdecimal() else 0)


@contextmanager
def lying_on(device: torch.device, *networks: nn.Module) -> Iterator[None]:
    """Inside, the networks lie on ``device``; afterwards on the processor again.

    Raises:
        UsageError: The card has not enough memory, or a network computes partly elsewhere.
    """
    if device == CPU:
        yield
        return
    try:
        for network in networks:
            network.to(device)
        with torch.cuda.device(device):
            yield
    except torch.cuda.OutOfMemoryError as error:
        free, total = torch.cuda.mem_get_info(device)
        raise UsageError(
            f"The memory of the graphics card, {size(free)} of {size(total)} free, is not enough for this network and "
            "batch. Take a smaller --batch, a smaller --size or another --network; or --device cpu. A run that was "
            "begun goes on on the processor where the card is hidden:  CUDA_VISIBLE_DEVICES= whyconv train --resume RUN"
        ) from error
    except RuntimeError as error:
        if "on the same device" not in str(error):
            raise
        raise UsageError(
            f"The network cannot be trained on the graphics card, as it makes tensors that lie elsewhere: {error}. Let "
            "it make them with device=x.device; or train with --device cpu."
        ) from error
    finally:
        for network in networks:
            network.to(CPU)
