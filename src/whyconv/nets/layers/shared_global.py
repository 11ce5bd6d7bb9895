"""The fourth corner: shared but not local, a kernel as large as the picture that goes around it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError, nearest
from whyconv.nets.layers.locally_connected import Pair, as_pair

_METHODS = ("fourier", "direct")


class SharedGlobal2d(nn.Module):
    """A circular convolution whose kernel is as large as the picture: every output sees every pixel.

    The answers are those of ``torch.nn.Conv2d(..., kernel_size=input_size, padding="same",
    padding_mode="circular")``: the kernel's tap ((h - 1) // 2, (w - 1) // 2) lies on the output's own place. Where
    the kernel is zero outside of a small window around that tap, it is an ordinary convolution on a ring.

    Args:
        in_channels: Of the input.
        out_channels: Of the output.
        input_size: Height and width in pixels, of input, kernel and output.
        bias: Whether a number is added to each output channel.
        method: "fourier": products of Fourier transforms, in n log n; "direct": sums of products, for comparison.
            The answers are equal to rounding, and exporters always get "direct".
        groups: Channels are connected within their group only.
        device: Of the parameters.
        dtype: Of the parameters.

    Raises:
        UsageError: A number is below 1, the channels cannot be grouped so, or the method is unknown.

    References:
        The discrete convolution theorem: Oppenheim and Schafer, Discrete-Time Signal Processing, section 8.6.5.
    """

    bias: nn.Parameter | None

    def __init__(  # noqa: PLR0913
        self,
        in_channels: int,
        out_channels: int,
        input_size: Pair,
        bias: bool = True,
        method: str = "fourier",
        *,
        groups: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.input_size = as_pair(input_size)
        self.method = method
        self.groups = groups
        self._require_sizes()
        shape = (out_channels, in_channels // groups, *self.input_size)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        biases = nn.Parameter(torch.empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", biases)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weights and biases as a dense layer does: uniform within 1 / sqrt(inputs of one output)."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, in_channels, h, w) to (n, out_channels, h, w).

        Raises:
            UsageError: The picture is not of the size that the layer was made for.
        """
        if x.ndim != 4 or tuple(x.shape[1:]) != (self.in_channels, *self.input_size):
            expected = ", ".join(map(str, (self.in_channels, *self.input_size)))
            raise UsageError(
                f"This shared-global layer was made for inputs of shape (n, {expected}); got {tuple(x.shape)}."
            )
        if self.method == "direct" or torch.compiler.is_exporting():
            return self._direct(x)
        return self._by_fourier(x)

    def extra_repr(self) -> str:
        """Says the sizes, and what differs from the defaults."""
        said = [f"{self.in_channels}, {self.out_channels}, input_size={self.input_size}"]
        said += ["bias=False"] if self.bias is None else []
        said += [f"groups={self.groups}"] if self.groups > 1 else []
        said += [f"method={self.method!r}"] if self.method != "fourier" else []
        return ", ".join(said)

    def _direct(self, x: Tensor) -> Tensor:
        top, left = self._own_place()
        height, width = self.input_size
        around = (left, width - 1 - left, top, height - 1 - top)
        return functional.conv2d(functional.pad(x, around, mode="circular"), self.weight, self.bias, groups=self.groups)

    def _by_fourier(self, x: Tensor) -> Tensor:
        top, left = self._own_place()
        kernel = torch.fft.rfft2(self.weight.roll((-top, -left), dims=(2, 3)))
        by_group = torch.fft.rfft2(x).unflatten(1, (self.groups, -1))
        y = torch.einsum("ngchw,gochw->ngohw", by_group, kernel.conj().unflatten(0, (self.groups, -1)))
        y = torch.fft.irfft2(y.flatten(1, 2), s=self.input_size)
        return y if self.bias is None else y + self.bias[:, None, None]

    def _own_place(self) -> tuple[int, int]:
        return (self.input_size[0] - 1) // 2, (self.input_size[1] - 1) // 2

    def _require_sizes(self) -> None:
        sizes = {"in_channels": self.in_channels, "out_channels": self.out_channels}
        channels = dict(sizes)
        sizes |= {"height": self.input_size[0], "width": self.input_size[1], "groups": self.groups}
        wrong = [f"{name} = {value}: at least 1" for name, value in sizes.items() if value < 1]
        wrong += [
            f"{name} = {value}: a multiple of groups = {self.groups}"
            for name, value in channels.items()
            if self.groups >= 1 and value % self.groups
        ]
        if self.method not in _METHODS:
            wrong.append(f"method = {self.method!r}: one of {', '.join(_METHODS)}.{nearest(self.method, _METHODS)}")
        if wrong:
            raise UsageError("\n  ".join(["This shared-global layer cannot be made. Expected:", *wrong]))
