"""Work for a graphics card, recorded as a CUDA graph: asked for as one piece, again and again."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import torch

_TURNS = 5


def recorded(work: Callable[[], object], stream: torch.cuda.Stream, pool: Any) -> torch.cuda.CUDAGraph | None:  # noqa: ANN401
    """Records what ``work`` asks a card for, without computing it; it must have been done once before.

    Args:
        work: Reads and writes the same places of memory in every turn.
        stream: Of the card, on which it was done.
        pool: Of memory, as ``torch.cuda.graph_pool_handle`` gives it, for all that is made meanwhile.

    Returns:
        What plays it; None where it cannot be recorded, as what asks the card for a number cannot.
    """
    graph = torch.cuda.CUDAGraph()
    # What an earlier training has left on the card must not be given back meanwhile: that breaks a recording off.
    collects = gc.isenabled()
    gc.disable()
    try:
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            work()
    except RuntimeError:
        torch.cuda.synchronize()
        return None
    finally:
        if collects:
            gc.enable()
    return graph


def seconds_on_card(work: Callable[[], object]) -> float:
    """Mean seconds of ``work`` on a card: recorded, where it can be, as a training does it."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
        graph = recorded(work, stream, torch.cuda.graph_pool_handle())
        play = work if graph is None else graph.replay
        play()
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(_TURNS):
            play()
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / _TURNS
