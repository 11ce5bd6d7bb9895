"""The lecture's identities, proved on a given layer: what sharing is, what locality is, and that the counts are right.

    convolution(x)  =  local twin with the kernel tiled (x)  =  T x + b
    dJ/dw           =  sum over places of the local twin's dJ/dw
    dJ/dT, where T has entries  =  the local twin's dJ/dw
    connections as counted      =  entries of the Jacobian that are not 0

J is half the squared distance to random targets; all is in double precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from whyconv.counting import Convolution
from whyconv.errors import ParityError, UsageError
from whyconv.measures.corners import build_corner
from whyconv.measures.layer_windows import LayerWindows, is_readable, read_layer, with_weights
from whyconv.measures.modules import evaluating
from whyconv.measures.proofs import prove
from whyconv.measures.slim import affordable, slimmed
from whyconv.results.fields import Verification

MOST_MULTIPLY_ADDS = 5_000_000_000  # seconds
MOST_FOR_A_LAYER = 500_000_000  # of a network, which has many


@torch.inference_mode(False)
def verify(
    layer: nn.Module,
    input_shape: Sequence[int],
    *,
    name: str = "",
    most_multiply_adds: int = MOST_MULTIPLY_ADDS,
    seed: int = 0,
) -> Verification:
    """Tries the identities on a layer with its own weights.

    A layer for which they would take too long is tried on fewer of its channels, and then on a smaller picture with
    the same borders, which the record says: channels of a group are connected alike, and places off the borders too.

    Args:
        layer: Of a kind that ``measures.matrix`` takes; it is not changed.
        input_shape: Of one picture, channels first; (features,) for a linear layer.
        name: For the record.
        most_multiply_adds: That all proofs may take together.
        seed: Of the pictures and targets.

    Returns:
        What held and what did not; see ``require_proved``.

    Raises:
        UsageError: The layer is of another kind, does not take such a picture, or the least of it takes too much
            already: the text says what it would take.
    """
    windows = read_layer(layer, input_shape)
    return _tried(layer, windows, name or str(layer), most_multiply_adds, seed)


@torch.inference_mode(False)
def verify_convolution(
    convolution: Convolution, *, most_multiply_adds: int = MOST_MULTIPLY_ADDS, seed: int = 0
) -> Verification:
    """Tries the identities on a convolution with random weights.

    Args:
        convolution: What it connects; not transposed, with 1 to 3 axes.
        most_multiply_adds: See ``verify``.
        seed: Of the weights, pictures and targets.

    Raises:
        UsageError: The least of it takes too much already.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        affordable(LayerWindows.without_weights(convolution), most_multiply_adds)  # before anything is allocated
        layer = build_corner(convolution, "convolution")
    (inner,) = layer.children()
    return _tried(layer, with_weights(convolution, inner), str(inner), most_multiply_adds, seed)


@torch.inference_mode(False)
def verify_network(
    network: nn.Module, input_shape: Sequence[int], *, most_multiply_adds: int = MOST_FOR_A_LAYER, seed: int = 0
) -> list[Verification]:
    """Tries the identities on every layer of a network whose matrix can be written down.

    Layers that read alike and take the same pictures are tried once; those that cannot be tried are listed with the
    reason.

    Args:
        network: With real weights; it is run once on a black picture, in evaluation mode, and not changed.
        input_shape: Of one picture, channels first.
        most_multiply_adds: For each layer.
        seed: Of the pictures and targets.

    Raises:
        UsageError: The network has no real weights.
    """
    if any(parameter.is_meta for parameter in network.parameters()):
        raise UsageError("To prove its layers the network needs real weights; it was built without any.")
    found: dict[tuple[str, tuple[int, ...]], Verification] = {}
    for name, layer, shape in _called(network, tuple(input_shape)):
        key = (str(layer), shape)
        if key not in found:
            found[key] = _tried_or_not(name, layer, shape, most_multiply_adds, seed)
    return list(found.values())


def require_proved(verifications: Iterable[Verification]) -> None:
    """Fails where a proof did.

    Raises:
        ParityError: Names every layer and statement that did not hold, with the difference.
    """
    failed = [
        f"{one.name}: {proof.name} differs by {proof.difference:.3g} (at most {proof.tolerance:.0e})"
        for one in verifications
        for proof in one.proofs
        if proof.is_proved is False
    ]
    if failed:
        raise ParityError("\n  ".join(["Not proved; this is a mistake in whyconv or in the layer:", *failed]))


def _tried(layer: nn.Module, windows: LayerWindows, name: str, most_multiply_adds: int, seed: int) -> Verification:
    every = windows.convolution
    tried = affordable(windows, most_multiply_adds)
    subject, windows = slimmed(layer, windows, tried)
    return Verification(
        name=name,
        layer=str(layer),
        input_shape=every.input_shape,
        channels=(windows.convolution.in_channels, windows.convolution.out_channels),
        all_channels=(every.in_channels, every.out_channels),
        tried_shape=windows.convolution.input_shape,
        connections=windows.convolution.connections,
        proofs=prove(subject, windows, seed),
        seed=seed,
    )


def _tried_or_not(
    name: str, layer: nn.Module, shape: tuple[int, ...], most_multiply_adds: int, seed: int
) -> Verification:
    try:
        return verify(layer, shape, name=name, most_multiply_adds=most_multiply_adds, seed=seed)
    except UsageError as error:
        return Verification(name=name, layer=str(layer), input_shape=shape, reason=str(error), seed=seed)


def _called(network: nn.Module, input_shape: tuple[int, ...]) -> list[tuple[str, nn.Module, tuple[int, ...]]]:
    """Name, layer and the shape of what it was called with, of every layer that can be read."""
    calls: list[tuple[str, nn.Module, tuple[int, ...]]] = []
    with _noting(network, calls), evaluating(network), torch.no_grad():
        weight = next(network.parameters(), torch.zeros(()))
        network(torch.zeros(1, *input_shape, dtype=weight.dtype, device=weight.device))
    return calls


@contextmanager
def _noting(network: nn.Module, calls: list[tuple[str, nn.Module, tuple[int, ...]]]) -> Iterator[None]:
    """Notes calls by hooks, which are gone after the block whatever happens."""

    def note(name: str, module: nn.Module, given: tuple[object, ...]) -> None:
        if given and isinstance(given[0], Tensor):
            calls.append((name, module, tuple(given[0].shape[1:])))

    hooks = [
        module.register_forward_pre_hook(lambda module, given, name=name: note(name, module, given))
        for name, module in network.named_modules()
        if is_readable(module)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
