"""Windows of a picture, each multiplied by weights of its own, as operators that torch knows by name.

Three maps, linear in both of their arguments; each is made of the derivatives of the other two, so that gradients of
any order exist:

    products     windows of x, weights      -> y
    input_grad   dJ/dy, weights             -> dJ/dx
    weight_grad  windows of x, dJ/dy        -> dJ/dweights

Nothing but the arguments is kept between forward and backward. The windows are copied for a few rows of places at a
time, into a buffer that stays in the processor's cache, with the pictures innermost; each place is then one product
of matrices. As operators they are seen whole by torch's dispatcher: whoever traces a network finds one
``whyconv::window_products`` and not the loop in it.

Shapes: x (n, c, h, w); weights (places_h, places_w, out_channels, c / groups, kernel_h, kernel_w), so that
``weights[i, j]`` is what a convolution's weight would be at place (i, j); y (n, out_channels, places_h, places_w).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

# Of windows copied at a time: small enough to stay in the cache of a core, large enough to keep it busy.
_BUFFER_BYTES = 1 << 20


class Window(NamedTuple):
    """How windows lie in the picture; each pair is (vertical, horizontal), padding (top, bottom, left, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int

    def num_places(self, height: int, width: int) -> tuple[int, int]:
        """Places of the window in a picture of (height, width); < 1 where it does not fit."""
        top, bottom, left, right = self.padding
        sizes = (height + top + bottom, width + left + right)
        high, wide = (
            (size - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, dilation in zip(sizes, self.kernel, self.stride, self.dilation, strict=True)
        )
        return high, wide


_LIBRARY = torch.library.Library("whyconv", "DEF")  # type: ignore[no-untyped-call]
_GEOMETRY = "SymInt[] kernel, SymInt[] stride, SymInt[] padding, SymInt[] dilation, SymInt groups"


def _operator(name: str, schema: str) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Makes a function one operator of torch's; what is returned calls it through the dispatcher."""

    def register(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        _LIBRARY.define(name + schema)  # type: ignore[no-untyped-call]
        _LIBRARY.impl(name, function, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
        return getattr(torch.ops.whyconv, name).default

    return register


@_operator("window_products", f"(Tensor x, Tensor weights, Tensor? bias, {_GEOMETRY}) -> Tensor")
def products(x: Tensor, weights: Tensor, bias: Tensor | None, *geometry: Any) -> Tensor:  # noqa: ANN401
    """Each window of ``x`` times the weights of its place, plus the bias (places_h, places_w, out_channels)."""
    window = _window(*geometry)
    high, wide, out_channels = weights.shape[:3]
    y = x.new_empty(len(x), out_channels, high, wide)
    canvas = _canvas(x, window)
    for rows in _row_blocks(canvas, weights, window):
        block = torch.bmm(_matrices(weights[rows], window), _windows(canvas, rows, wide, window))
        block = block.view(rows.stop - rows.start, wide, out_channels, len(x))
        if bias is not None:
            block += bias[rows].unsqueeze(3)
        y[:, :, rows] = _outermost(block.permute(2, 0, 1, 3))
    return y


@_operator("window_products_input_grad", f"(Tensor grad, Tensor weights, SymInt[] size, {_GEOMETRY}) -> Tensor")
def input_grad(grad: Tensor, weights: Tensor, size: list[int], *geometry: Any) -> Tensor:  # noqa: ANN401
    """dJ/dx of a picture of ``size`` (height, width)."""
    window = _window(*geometry)
    in_channels = weights.shape[3] * window.groups
    top, bottom, left, right = window.padding
    shape = (in_channels, size[0] + top + bottom, size[1] + left + right, len(grad))
    canvas = grad.new_zeros(shape)
    for rows in _row_blocks(canvas, weights, window):
        block = torch.bmm(_matrices(weights[rows], window).mT, _answers(grad, rows, window))
        _add_windows(canvas, block, rows, window)
    return _outermost(canvas[:, top : top + size[0], left : left + size[1]])


@_operator("window_products_weight_grad", f"(Tensor x, Tensor grad, {_GEOMETRY}) -> Tensor")
def weight_grad(x: Tensor, grad: Tensor, *geometry: Any) -> Tensor:  # noqa: ANN401
    """dJ/dweights."""
    window = _window(*geometry)
    weights = _new_weights(x, grad, window)
    canvas = _canvas(x, window)
    for rows in _row_blocks(canvas, weights, window):
        windows = _windows(canvas, rows, weights.shape[1], window)
        torch.bmm(_answers(grad, rows, window), windows.mT, out=_matrices(weights[rows], window))
    return weights


def composed_products(x: Tensor, weights: Tensor, bias: Tensor | None, window: Window) -> Tensor:
    """The same as ``products``, of torch's own operators only, as an exporter needs; takes more memory."""
    high, wide, out_channels, _, *_ = weights.shape
    top, bottom, left, right = window.padding
    padded = functional.pad(x, (left, right, top, bottom))
    taps = [
        padded[:, :, _every(row, high, window.stride[0]), _every(column, wide, window.stride[1])]
        for row, column in _taps(window)
    ]
    # One matrix (n, c / groups * taps) for each place and group.
    windows = torch.stack(taps, dim=2).reshape(len(x), window.groups, -1, high, wide).permute(3, 4, 1, 0, 2)
    matrices = weights.reshape(high, wide, window.groups, out_channels // window.groups, -1)
    y = (windows @ matrices.mT).permute(3, 2, 4, 0, 1).reshape(-1, out_channels, high, wide)
    return y if bias is None else y + bias.permute(2, 0, 1)


def _window(kernel: list[int], stride: list[int], padding: list[int], dilation: list[int], groups: int) -> Window:
    top, bottom, left, right = padding
    return Window(
        (kernel[0], kernel[1]), (stride[0], stride[1]), (top, bottom, left, right), (dilation[0], dilation[1]), groups
    )


def _innermost(x: Tensor) -> Tensor:
    """(n, ...) as (..., n); turned over as one matrix, which torch does block by block."""
    return x.reshape(len(x), x[:1].numel()).mT.contiguous().view(*x.shape[1:], len(x))


def _outermost(x: Tensor) -> Tensor:
    """(..., n) as (n, ...)."""
    n = x.shape[-1]
    return x.reshape(x[..., :1].numel(), n).mT.contiguous().view(n, *x.shape[:-1])


def _canvas(x: Tensor, window: Window) -> Tensor:
    """The padded pictures with n innermost: (c, padded height, padded width, n)."""
    picture = _innermost(x)
    if not any(window.padding):
        return picture
    top, bottom, left, right = window.padding
    return functional.pad(picture, (0, 0, left, right, top, bottom))


def _row_blocks(canvas: Tensor, weights: Tensor, window: Window) -> Iterator[slice]:
    """Rows of places whose windows and answers fit in the buffer together; at least one at a time."""
    high, wide, out_channels = weights.shape[:3]
    channels, _, _, n = canvas.shape
    numbers = channels * window.kernel[0] * window.kernel[1] + out_channels
    step = max(1, _BUFFER_BYTES // max(1, numbers * wide * n * canvas.element_size()))
    for start in range(0, high, step):
        yield slice(start, min(start + step, high))


def _windows(canvas: Tensor, rows: slice, wide: int, window: Window) -> Tensor:
    """The windows of some rows as matrices: (places * groups, c / groups * taps, n)."""
    channels, _, _, n = canvas.shape
    c, h, w, _ = canvas.stride()
    in_group = channels // window.groups
    shape = (rows.stop - rows.start, wide, window.groups, in_group, *window.kernel, n)
    steps = (
        h * window.stride[0],
        w * window.stride[1],
        c * in_group,
        c,
        h * window.dilation[0],
        w * window.dilation[1],
    )
    offset = canvas.storage_offset() + rows.start * h * window.stride[0]
    view = canvas.as_strided(shape, (*steps, 1), offset)
    return view.reshape(shape[0] * wide * window.groups, in_group * window.kernel[0] * window.kernel[1], n)


def _add_windows(canvas: Tensor, block: Tensor, rows: slice, window: Window) -> None:
    """Adds matrices, as ``_windows`` makes them, to the places they came from."""
    channels, _, _, n = canvas.shape
    high = rows.stop - rows.start
    block = block.view(high, len(block) // (high * window.groups), channels, *window.kernel, n)
    for number, (row, column) in enumerate(_taps(window)):
        across = _every(column, block.shape[1], window.stride[1])
        along = _every(row + rows.start * window.stride[0], high, window.stride[0])
        tap = block[:, :, :, number // window.kernel[1], number % window.kernel[1]]
        canvas[:, along, across] += tap.permute(2, 0, 1, 3)


def _answers(grad: Tensor, rows: slice, window: Window) -> Tensor:
    """What lies at some rows of places as matrices: (places * groups, out_channels / groups, n)."""
    n, out_channels, _, wide = grad.shape
    # Copied at once: matrices with no stride of 1 would be copied one by one in their product.
    chosen = _innermost(grad[:, :, rows]).permute(1, 2, 0, 3).contiguous()
    return chosen.view((rows.stop - rows.start) * wide * window.groups, out_channels // window.groups, n)


def _matrices(weights: Tensor, window: Window) -> Tensor:
    """Weights as matrices: (places * groups, out_channels / groups, c / groups * taps)."""
    return weights.reshape(-1, weights.shape[2] // window.groups, weights[0, 0, 0].numel())


def _new_weights(x: Tensor, grad: Tensor, window: Window) -> Tensor:
    out_channels, high, wide = grad.shape[1:]
    return x.new_empty(high, wide, out_channels, x.shape[1] // window.groups, *window.kernel)


def _taps(window: Window) -> Iterator[tuple[int, int]]:
    """Where each tap lies from the corner of the window, row by row."""
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            yield row * window.dilation[0], column * window.dilation[1]


def _every(start: int, count: int, step: int) -> slice:
    return slice(start, start + (count - 1) * step + 1, step)


def _products_like(x: Tensor, weights: Tensor, bias: Tensor | None, *geometry: Any) -> Tensor:  # noqa: ANN401
    high, wide, out_channels = weights.shape[:3]
    return x.new_empty(x.shape[0], out_channels, high, wide)


def _input_grad_like(grad: Tensor, weights: Tensor, size: list[int], *geometry: Any) -> Tensor:  # noqa: ANN401
    return grad.new_empty(grad.shape[0], weights.shape[3] * geometry[-1], *size)


def _weight_grad_like(x: Tensor, grad: Tensor, *geometry: Any) -> Tensor:  # noqa: ANN401
    return _new_weights(x, grad, _window(*geometry))


def _keep_products(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
    x, weights, _, *ctx.geometry = inputs
    ctx.save_for_backward(x, weights)


def _backward_products(ctx: Any, grad: Tensor) -> tuple[Any, ...]:  # noqa: ANN401
    x, weights = ctx.saved_tensors
    geometry = ctx.geometry
    needs_x, needs_weights, needs_bias = ctx.needs_input_grad[:3]
    return (
        input_grad(grad, weights, x.shape[2:], *geometry) if needs_x else None,
        weight_grad(x, grad, *geometry) if needs_weights else None,
        grad.sum(dim=0).permute(1, 2, 0) if needs_bias else None,
        *(None for _ in geometry),
    )


def _keep_input_grad(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
    grad, weights, _, *ctx.geometry = inputs
    ctx.save_for_backward(grad, weights)


def _backward_input_grad(ctx: Any, along: Tensor) -> tuple[Any, ...]:  # noqa: ANN401
    grad, weights = ctx.saved_tensors
    geometry = ctx.geometry
    return (
        products(along, weights, None, *geometry) if ctx.needs_input_grad[0] else None,
        weight_grad(along, grad, *geometry) if ctx.needs_input_grad[1] else None,
        *(None for _ in range(len(geometry) + 1)),
    )


def _keep_weight_grad(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
    x, grad, *ctx.geometry = inputs
    ctx.save_for_backward(x, grad)


def _backward_weight_grad(ctx: Any, along: Tensor) -> tuple[Any, ...]:  # noqa: ANN401
    x, grad = ctx.saved_tensors
    geometry = ctx.geometry
    return (
        input_grad(grad, along, x.shape[2:], *geometry) if ctx.needs_input_grad[0] else None,
        products(x, along, None, *geometry) if ctx.needs_input_grad[1] else None,
        *(None for _ in geometry),
    )


for _name, _like, _backward, _keep in (
    ("window_products", _products_like, _backward_products, _keep_products),
    ("window_products_input_grad", _input_grad_like, _backward_input_grad, _keep_input_grad),
    ("window_products_weight_grad", _weight_grad_like, _backward_weight_grad, _keep_weight_grad),
):
    torch.library.register_fake(f"whyconv::{_name}", _like, lib=_LIBRARY)
    torch.library.register_autograd(f"whyconv::{_name}", _backward, setup_context=_keep, lib=_LIBRARY)
