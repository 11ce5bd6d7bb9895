"""Work for a graphics card, recorded as a CUDA graph: asked for as one piece, again and again."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

_TURNS = 5


def may_be_recorded(name: str) -> bool:
    """Whether the steps of a network are recorded: not of one of the user's own.

    What its Python does, such as to draw a number or to count, would be done once and never again, without a word.
    """
    return ":" not in name


def recorded(work: Callable[[], object], stream: torch.cuda.Stream, pool: Any) -> torch.cuda.CUDAGraph:  # noqa: ANN401
    """Records what ``work`` asks a card for, without computing it; it must have been done once before.

    Args:
        work: Reads and writes the same places of memory in every turn.
        stream: Of the card, on which it was done.
        pool: Of memory, as ``torch.cuda.graph_pool_handle`` gives it, for all that is made meanwhile.

    Returns:
        What plays it.

    Raises:
        RuntimeError: It cannot be recorded, as what asks the card for a number cannot.
    """
    graph = torch.cuda.CUDAGraph()
    # What an earlier training has left on the card must not be given back meanwhile: that breaks a recording off.
    collects = gc.isenabled()
    gc.disable()
    try:
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            work()
    finally:
        if collects:
            gc.enable()
    return graph


@cache
def card_stream(device: torch.device) -> torch.cuda.Stream:
    """The one stream that all recordings are made on: torch keeps memory for each that there ever was."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def seconds_on_card(work: Callable[[], object], *, records: bool) -> float:
    """Mean seconds of ``work`` on a card; recorded, where a training does that."""
    stream = card_stream(torch.device("cuda", torch.cuda.current_device()))
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
        play = recorded(work, stream, torch.cuda.graph_pool_handle()).replay if records else work
        play()
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(_TURNS):
            play()
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / _TURNS
