"""How much of the receptive field the middle output really looks at, on given pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.counting.graph import Graph
from whyconv.counting.receptive_field import receptive_fields
from whyconv.errors import UsageError, nearest
from whyconv.measures.modules import evaluating
from whyconv.measures.trace import trace
from whyconv.results import Estimate
from whyconv.results.fields import EffectiveField, MassSquare, ReceptiveField
from whyconv.training.intervals import bootstrap_ends

SHARES = (0.5, 0.9, 0.99)
_NUM_DRAWS = 2000
_MOST_NUMBERS = 8_000_000  # of pictures whose gradient is taken at a time


@torch.inference_mode(False)
def effective_field(network: nn.Module, pictures: Tensor, layer: str | None = None, *, seed: int = 0) -> EffectiveField:
    """Measures in which square around the middle a layer's gradient lies.

    The map is the mean over pictures x of |d y / d x| summed over the picture's channels, y being the sum over all
    channels of the layer's middle place. Its squares are centered on the middle of that place's theoretical field.

    Args:
        network: Takes pictures (n, c, h, w); it is asked in evaluation mode, and is afterwards as it was.
        pictures: As the network takes them (n, c, h, w), n >= 2, all of them of one size.
        layer: Name of a module with maps as output; None for the deepest one whose theoretical field fits into the
            pictures.
        seed: Of the draws of pictures that make the intervals.

    Returns:
        The sides of the squares with 50, 90 and 99 % of the gradient, each with a 95 % interval over pictures
        (bootstrap, expanded percentiles).

    Raises:
        UsageError: There is no such layer; its place is not in the picture any more (behind flattening, a dense layer
            or global pooling); its theoretical field is larger than the pictures, whose borders would cut what is to
            be measured; no gradient comes back from any picture; or there are fewer than 2 pictures.

    References:
        Luo, Li, Urtasun, Zemel, *Understanding the Effective Receptive Field in Deep Convolutional Neural Networks*,
        NeurIPS 2016, arXiv 1701.04128, for the map.
    """
    if pictures.ndim != 4 or len(pictures) < 2:
        raise UsageError(
            f"The effective field needs at least 2 pictures (n, c, h, w), for its interval is over pictures; got an "
            f"array of shape {tuple(pictures.shape)}."
        )
    graph = trace(network, tuple(pictures.shape[1:]))
    field = _field(graph, network, layer, tuple(pictures.shape[2:]))
    mass, distances = _mass(network, pictures, field, _middle(graph, field))
    if num_broken := int((~np.isfinite(mass)).any(axis=1).sum()):
        raise UsageError(
            f"For {num_broken} of the {len(pictures)} pictures the gradient from '{field.name}' is no finite number: a "
            "weight is none, or the network divides by nothing, as by the spread of a flat picture. There is no "
            "effective field."
        )
    if not mass.sum():
        raise UsageError(
            f"No gradient comes back from '{field.name}' to any of the {len(pictures)} pictures: its units are dead, "
            "or the way is cut. There is no effective field."
        )
    counts = np.random.default_rng(seed).multinomial(len(mass), np.full(len(mass), 1 / len(mass)), _NUM_DRAWS)
    squares = [MassSquare(share=share, side=_estimate(mass, distances, counts, share)) for share in SHARES]
    high, wide = pictures.shape[2:]
    sizes = (field.axes[0].size, field.axes[1].size)
    return EffectiveField(
        layer=field.name,
        input_size=(high, wide),
        n=len(pictures),
        theoretical=sizes,
        is_whole=field.is_whole,
        squares=tuple(squares),
        seed=seed,
    )


@torch.inference_mode(False)
def effective_map(network: nn.Module, pictures: Tensor, layer: str) -> NDArray[np.float64]:
    """Returns the mean over pictures of |d y / d x| summed over channels, (h, w), for a picture of it.

    Args:
        network: As in ``effective_field``.
        pictures: (n, c, h, w).
        layer: Name of a module with maps as output.
    """
    total = torch.zeros(pictures.shape[2:], dtype=torch.float64)
    for gradients in _gradients(network, pictures, layer):
        total += gradients.sum(dim=0)
    return np.asarray((total / len(pictures)).numpy())


def _field(graph: Graph, network: nn.Module, layer: str | None, picture: tuple[int, ...]) -> ReceptiveField:
    """The field of the layer that is asked about, under its module's name."""
    fields = _fields_of_modules(graph, network)
    fitting = [name for name, field in fields.items() if _fits(field, picture)]
    if layer is None:
        if not fitting:
            raise UsageError(
                f"No layer of this network has places whose receptive field fits into pictures of {_times(picture)}: "
                "there is no effective field to measure. Take larger pictures."
            )
        return fields[fitting[-1]]
    if layer not in fields:
        raise UsageError(f"There is no layer '{layer}' that was called.{nearest(layer, fields)}")
    field = fields[layer]
    if layer in fitting:
        return field
    if field.reason or not field.axes:
        why = field.reason or "behind flattening, a dense layer, attention or global pooling, every unit sees all of it"
        raise UsageError(f"'{layer}' has no effective field: {why}.{_instead(fitting)}")
    sizes = _times(tuple(axis.size for axis in field.axes))
    if any(axis.jump is None for axis in field.axes):
        raise UsageError(f"'{layer}' has no one middle: its branches have different jumps.{_instead(fitting)}")
    raise UsageError(
        f"'{layer}' has a receptive field of {sizes} and the pictures have {_times(picture)}: their borders would cut "
        f"what is to be measured.{_instead(fitting)}"
    )


def _fields_of_modules(graph: Graph, network: nn.Module) -> dict[str, ReceptiveField]:
    """What each module answered last, in the order of the answers; the shortest name first among equal ones."""
    by_value = {field.output: field for field in receptive_fields(graph)}
    last: dict[str, int] = {}
    for place, node in enumerate(graph.nodes):
        parts = node.module.split(".") if node.module else []
        last.update({".".join(parts[: depth + 1]): place for depth in range(len(parts))})
    known = dict(network.named_modules())
    names = sorted((name for name in last if name in known), key=lambda name: (last[name], -len(name)))
    return {name: by_value[graph.nodes[last[name]].outputs[0]].model_copy(update={"name": name}) for name in names}


def _fits(field: ReceptiveField, picture: tuple[int, ...]) -> bool:
    return bool(field.axes) and all(
        axis.jump is not None and axis.size <= length for axis, length in zip(field.axes, picture, strict=True)
    )


def _instead(fitting: list[str]) -> str:
    return f" The deepest layer that can be measured on these pictures is '{fitting[-1]}'." if fitting else ""


def _times(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes)) + " pixels"


def _middle(graph: Graph, field: ReceptiveField) -> tuple[float, ...]:
    """The pixel in the middle of the middle place's field."""
    places = graph.shapes[field.output][2:]
    return tuple(
        float(axis.center + (axis.jump or 0) * (size // 2)) for axis, size in zip(field.axes, places, strict=True)
    )


def _mass(
    network: nn.Module, pictures: Tensor, field: ReceptiveField, middle: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each picture the gradient at each distance from the middle (n, distances), and the distances in pixels."""
    high, wide = (np.abs(np.arange(length) - at) for length, at in zip(pictures.shape[2:], middle, strict=True))
    distances, places = np.unique(np.maximum.outer(high, wide), return_inverse=True)
    rows = [
        np.bincount(places.ravel(), weights=gradient.numpy().ravel(), minlength=len(distances))
        for gradients in _gradients(network, pictures, field.name)
        for gradient in gradients
    ]
    return np.stack(rows), distances


def _gradients(network: nn.Module, pictures: Tensor, layer: str) -> Iterator[Tensor]:
    """For some pictures at a time |d y / d x| summed over channels (some, h, w), in double precision."""
    answers: list[Tensor] = []

    def note(_: nn.Module, __: object, answer: Tensor) -> None:
        # Taken here: a layer behind may work in place.
        answers.append(answer[:, :, answer.shape[2] // 2, answer.shape[3] // 2].sum())

    hook = network.get_submodule(layer).register_forward_hook(note)
    try:
        with evaluating(network), torch.enable_grad():
            step = max(1, _MOST_NUMBERS // pictures[0].numel())
            for start in range(0, len(pictures), step):
                x = pictures[start : start + step].detach().clone().requires_grad_()
                network(x)
                y = answers[-1]
                gradient = torch.autograd.grad(y, x, allow_unused=True)[0] if y.requires_grad else None
                answers.clear()
                yield torch.zeros(x.shape)[:, 0].double() if gradient is None else gradient.abs().double().sum(1).cpu()
    finally:
        hook.remove()


def _estimate(
    mass: NDArray[np.float64], distances: NDArray[np.float64], counts: NDArray[np.int64], share: float
) -> Estimate:
    """The side, with those of pictures drawn anew as its interval."""
    sides = _sides(counts @ mass, distances, share)
    low, high = np.quantile(sides, bootstrap_ends(len(mass)), method="inverted_cdf")
    value = _sides(mass.sum(axis=0, keepdims=True), distances, share)[0]
    return Estimate(value=float(value), low=float(low), high=float(high), n=len(mass), over="pictures")


def _sides(mass: NDArray[np.float64], distances: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """The sides of the smallest squares that hold ``share`` of each row of masses."""
    inside = np.cumsum(mass, axis=1)
    is_enough = inside >= share * inside[:, -1:] * (1 - 1e-12)
    return np.asarray(2 * distances[is_enough.argmax(axis=1)] + 1)
