"""The layer between dense and convolution: it looks where a convolution looks, with weights of its own everywhere."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError, nearest
from whyconv.nets.layers.window_products import Window, composed_products, products

Pair = int | tuple[int, int]

_MODES = ("zeros", "reflect", "replicate", "circular")


class LocallyConnected2d(nn.Module):
    """A convolution whose weights are not shared: each place of the kernel has a kernel and biases of its own.

    Arguments mean what they mean to ``torch.nn.Conv2d``; added is the size of the picture, because the number of
    weights follows from it. With the same kernel at every place the answers are those of the convolution, and the
    convolution's gradient is the sum of this layer's gradients over the places.

    ``weight`` has the shape (places_h, places_w, out_channels, in_channels / groups, kernel_h, kernel_w) and
    ``bias`` (places_h, places_w, out_channels): ``weight[i, j]`` and ``bias[i, j]`` are what the convolution would
    have at the output's row i and column j.

    Between forward and backward only the input and the weights are kept. Gradients of any order can be taken.
    An exporter (``torch.onnx.export`` with ``dynamo=True``, ``torch.export``) sees torch's own operators only.

    Args:
        in_channels: Of the input.
        out_channels: Of the output.
        kernel_size: Taps along each axis; one number or (vertical, horizontal), as all sizes.
        input_size: Height and width of the input in pixels.
        stride: Between neighboring places of the kernel.
        padding: Places added on both sides of each axis; "valid": none; "same": so many that the output is as large
            as the input, for stride 1 only.
        dilation: Between neighboring taps.
        groups: Channels are connected within their group only.
        bias: Whether a number is added to each output.
        padding_mode: What lies in the padding: "zeros", "reflect", "replicate" or "circular".
        device: Of the parameters.
        dtype: Of the parameters.

    Raises:
        UsageError: A number is out of range, the channels cannot be grouped so, or the kernel does not fit; all
            mistakes are named at once.

    References:
        Le Cun, Generalization and network design strategies (1989), compares such layers with convolutions.
    """

    bias: nn.Parameter | None

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        input_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = as_pair(kernel_size)
        self.input_size = as_pair(input_size)
        self.stride = as_pair(stride)
        self.padding = padding if isinstance(padding, str) else as_pair(padding)
        self.dilation = as_pair(dilation)
        self.groups = groups
        self.padding_mode = padding_mode
        self._require_sizes()
        self._borders = borders(self.padding, self.kernel_size, self.dilation)
        window = Window(self.kernel_size, self.stride, self._borders, self.dilation, groups)
        self.output_size = window.num_places(*self.input_size)
        self._require_fit()
        # What is not zeros is laid around the picture before the windows are taken.
        self._window = window if padding_mode == "zeros" else window._replace(padding=(0, 0, 0, 0))
        shape = (*self.output_size, out_channels, in_channels // groups, *self.kernel_size)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        biases = nn.Parameter(torch.empty(shape[:3], device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", biases)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weights and biases as the convolution does: uniform within 1 / sqrt(inputs of one output)."""
        bound = 1 / math.sqrt(self.weight.shape[3] * math.prod(self.kernel_size))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, in_channels, h, w) to (n, out_channels, places_h, places_w); n may be left out.

        Raises:
            UsageError: The picture is not of the size that the layer was made for.
        """
        if x.ndim not in (3, 4) or tuple(x.shape[-3:]) != (self.in_channels, *self.input_size):
            expected = ", ".join(map(str, (self.in_channels, *self.input_size)))
            raise UsageError(
                f"This locally connected layer was made for inputs of shape (n, {expected}); got {tuple(x.shape)}. "
                "Its weights belong to places: for another size make another layer."
            )
        batch = x if x.ndim == 4 else x.unsqueeze(0)
        if self.padding_mode != "zeros":
            top, bottom, left, right = self._borders
            batch = functional.pad(batch, (left, right, top, bottom), mode=self.padding_mode)
        if torch.compiler.is_exporting():
            y = composed_products(batch, self.weight, self.bias, self._window)
        else:
            y = products(batch, self.weight, self.bias, *self._window)
        return y if x.ndim == 4 else y.squeeze(0)

    def extra_repr(self) -> str:
        """Says what differs from the defaults, as ``torch.nn.Conv2d`` does, and both sizes."""
        defaults = {"padding": (0, 0), "dilation": (1, 1), "groups": 1, "padding_mode": "zeros"}
        said = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}"]
        said += [f"input_size={self.input_size}", f"stride={self.stride}"]
        said += [f"{key}={getattr(self, key)!r}" for key, usual in defaults.items() if getattr(self, key) != usual]
        said += ["bias=False"] if self.bias is None else []
        return ", ".join([*said, f"output_size={self.output_size}"])

    def _require_sizes(self) -> None:
        counts = {"in_channels": self.in_channels, "out_channels": self.out_channels, "groups": self.groups}
        pairs = {"kernel_size": self.kernel_size, "input_size": self.input_size}
        pairs |= {"stride": self.stride, "dilation": self.dilation}
        wrong = [f"{name} = {value}: at least 1" for name, value in counts.items() if value < 1]
        wrong += [f"{name} = {value}: at least 1" for name, value in pairs.items() if min(value) < 1]
        wrong += [
            f"{name} = {counts[name]}: a multiple of groups = {self.groups}"
            for name in ("in_channels", "out_channels")
            if self.groups >= 1 and counts[name] % self.groups
        ]
        if self.padding_mode not in _MODES:
            hint = nearest(self.padding_mode, _MODES)
            wrong.append(f"padding_mode = {self.padding_mode!r}: one of {', '.join(_MODES)}{hint}")
        _refuse(wrong + self._padding_mistakes())

    def _padding_mistakes(self) -> list[str]:
        if self.padding == "same" and max(self.stride) > 1:
            return [f"padding = 'same' with stride {self.stride}: stride 1, or padding in numbers"]
        if isinstance(self.padding, str):
            known = self.padding in ("same", "valid")
            return [] if known else [f"padding = {self.padding!r}: numbers, 'same' or 'valid'"]
        return [f"padding = {self.padding}: at least 0"] if min(self.padding) < 0 else []

    def _require_fit(self) -> None:
        top, bottom, left, right = self._borders
        around = ((top, bottom), (left, right))
        wrong = []
        for axis, name in enumerate(("height", "width")):
            size, border = self.input_size[axis], max(around[axis])
            most = {"reflect": size - 1, "circular": size}.get(self.padding_mode, border)
            if border > most:
                wrong.append(f"padding {border} with mode {self.padding_mode}: at most {most} for {name} {size}")
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            if self.output_size[axis] < 1:
                wrong.append(
                    f"a kernel that reaches over {reach}: at most {size + sum(around[axis])}, the padded {name}"
                )
        _refuse(wrong)


def _refuse(wrong: list[str]) -> None:
    if wrong:
        raise UsageError("\n  ".join(["This locally connected layer cannot be made. Expected:", *wrong]))


def as_pair(value: Pair) -> tuple[int, int]:
    """One number for both axes, or one for each."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def borders(
    padding: tuple[int, int] | str, kernel: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Places added at the (top, bottom, left, right); of an odd sum "same" puts the larger half after."""
    if not isinstance(padding, str):
        return padding[0], padding[0], padding[1], padding[1]
    if padding == "valid":
        return 0, 0, 0, 0
    (vertical, horizontal) = (step * (taps - 1) for step, taps in zip(dilation, kernel, strict=True))
    return vertical // 2, vertical - vertical // 2, horizontal // 2, horizontal - horizontal // 2
