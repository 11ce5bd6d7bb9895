"""One call of a torch network, written down below its modules: every operation torch carries out, as a graph.

The network is called on a picture that has a shape and no numbers (torch's "meta" device), and for the time of the
call every weight is replaced by its shape too: nothing is allocated and nothing is computed. A network that looks at
numbers on its way cannot be called so; it is then called on a made-up picture with its own weights, and the graph
says it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from whyconv.counting.finishing import finished
from whyconv.counting.graph import Graph
from whyconv.errors import StoppedError, UsageError, let_through
from whyconv.measures.modules import evaluating, following, require_hooks
from whyconv.measures.recorder import Made, Recorder
from whyconv.results import Note

_SEED = 0


def trace(network: nn.Module, input_shape: Sequence[int]) -> Graph:
    """Calls a network once, in evaluation mode and without gradients, and returns what it did.

    Args:
        network: Takes pictures (1, c, h, w), or another number of spatial axes. Its training flags, hooks and numbers
            are afterwards as they were.
        input_shape: Of one picture, without the batch: (c, h, w).

    Returns:
        The network for one picture. What was not understood has the kind "not_analyzed", with the reason.

    Raises:
        UsageError: The network cannot be called on such a picture, or has modules of TorchScript.
    """
    network = getattr(network, "_orig_mod", network)  # what torch.compile was given
    shape = (1, *input_shape)
    if len(shape) < 2 or any(length < 1 for length in shape):
        raise UsageError(
            f"The input shape {tuple(input_shape)} is none. Expected channels, height, width: (3, 224, 224)."
        )
    require_hooks(network)
    try:
        return _call(network, shape, has_numbers=False)[0]
    except Exception as error:
        let_through(error, StoppedError)
        if any(parameter.is_meta for parameter in network.parameters()):
            raise _failed(network, shape, error) from error
        reason = _first_line(error)
    try:
        graph, _ = _call(network, shape, has_numbers=True)
    except Exception as error:
        raise _failed(network, shape, error) from error
    note = Note(key="network_called_for_real", values={"reason": reason}, level="warning")
    return Graph(graph.inputs, graph.outputs, graph.nodes, graph.shapes, graph.parameters, (*graph.notes, note))


def trace_made(network: nn.Module, input_shape: Sequence[int]) -> tuple[Graph, dict[str, Made]]:
    """Calls a network once on a made-up picture, with its numbers, and says which operation made which value.

    Args:
        network: As in ``trace``.
        input_shape: Of one picture, without the batch: (c, h, w).

    Returns:
        The network for one picture, and for each value that torch held as (n, c, places...) where it came from.

    Raises:
        UsageError: The network cannot be called on such a picture, or has modules of TorchScript.
    """
    shape = (1, *input_shape)
    require_hooks(network)
    try:
        return _call(network, shape, has_numbers=True)
    except Exception as error:
        raise _failed(network, shape, error) from error


def _call(network: nn.Module, shape: tuple[int, ...], *, has_numbers: bool) -> tuple[Graph, dict[str, Made]]:
    with (
        torch.inference_mode(False),  # in which torch shows operations whole: conv2d, and not what it consists of
        torch.no_grad(),
        torch.random.fork_rng(devices=[]),
        evaluating(network),
        following(network) as place,
    ):
        kind = next((each.dtype for each in network.parameters() if each.is_floating_point()), torch.float32)
        picture = _made_up(shape, kind) if has_numbers else torch.empty(shape, dtype=kind, device="meta")
        recorder = Recorder(network, picture, place, has_numbers=has_numbers)
        with recorder:
            answer = network(picture)
        return finished(recorder.graph(answer)), recorder.made


def _made_up(shape: tuple[int, ...], kind: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(_SEED)
    return torch.rand(shape, generator=generator).to(kind)


def _failed(network: nn.Module, shape: tuple[int, ...], error: Exception) -> UsageError:
    return UsageError(
        f"{type(network).__name__} fails on a picture of shape {shape}: {_first_line(error)}. "
        "Expected a network that takes one array (n, c, h, w); was the right shape given?"
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no reason given'}"
