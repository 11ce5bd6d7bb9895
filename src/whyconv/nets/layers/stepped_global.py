"""The fourth corner with a convolution's outputs: a kernel as large as the picture, at its places."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError
from whyconv.nets.layers.locally_connected import Pair, as_pair, borders
from whyconv.nets.layers.share import share_of_data
from whyconv.nets.layers.shared_global import SharedGlobal2d


class SteppedGlobal2d(nn.Module):
    """What a convolution becomes when its kernel grows to the size of the picture, all else kept.

    The picture is padded as the convolution pads it; a kernel of the padded size goes around it, shared over all
    places (``everywhere``, a ``SharedGlobal2d``); and of the places those are kept at which the convolution has
    outputs. With circular padding nothing is laid around the picture: the kernel is of its own size, on the ring.
    A kernel that is zero but in ``window`` makes it the convolution: there the window lies within the padded picture,
    so that going around changes nothing.

    Arguments mean what they mean to ``LocallyConnected2d``.

    Args:
        in_channels: Of the input.
        out_channels: Of the output.
        kernel_size: Of the convolution, as stride, padding, dilation, groups and padding mode.
        input_size: Height and width of the input in pixels.
        stride: Between neighboring places that are kept.
        padding: Places added on both sides of each axis, "valid" or "same".
        dilation: Between neighboring taps of the window.
        groups: Channels are connected within their group only; sharing and reach are of space alone.
        bias: Whether a number is added to each output channel.
        padding_mode: What lies in the padding: "zeros", "reflect", "replicate" or "circular".
        device: Of the parameters.
        dtype: Of the parameters.

    Raises:
        UsageError: The convolution's kernel does not fit the padded picture, or ``SharedGlobal2d`` refuses.
    """

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
        self.groups = groups
        self.kernel_size, self.stride, self.dilation = as_pair(kernel_size), as_pair(stride), as_pair(dilation)
        self.input_size = as_pair(input_size)
        self.padding_mode = padding_mode
        top, bottom, left, right = borders(
            padding if isinstance(padding, str) else as_pair(padding), self.kernel_size, self.dilation
        )
        self._around = ((top, bottom), (left, right))
        self._require_fit()
        padded = [size + sum(around) for size, around in zip(self.input_size, self._around, strict=True)]
        self.ring_size = self.input_size if padding_mode == "circular" else (padded[0], padded[1])
        self.output_size = (self._num_places(0), self._num_places(1))
        self.everywhere = SharedGlobal2d(
            in_channels, out_channels, self.ring_size, bias=bias, groups=groups, device=device, dtype=dtype
        )

    @property
    def window(self) -> tuple[list[int], list[int]]:
        """Rows and columns of the kernel ``everywhere`` at which the convolution's taps lie, on a small ring twice."""
        return self._taps(0), self._taps(1)

    @property
    def fan_in(self) -> float:
        """The number of inputs by which ``restart`` scales the starting weights.

        One output meets every pixel once, and what is laid around it unless that is 0. Where the convolution meets
        such zeros at the border, its outputs vary less; so this number is larger in the same measure.
        """
        per_place = self.in_channels / self.groups
        if self.padding_mode != "zeros":
            height, width = self.ring_size
            return per_place * height * width
        share = share_of_data(self.input_size, self.kernel_size, self.stride, self._around, self.dilation)
        return per_place * self.input_size[0] * self.input_size[1] / share

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, in_channels, h, w) to (n, out_channels, places_h, places_w); n may be left out.

        Raises:
            UsageError: The picture is not of the size that the layer was made for.
        """
        if x.ndim not in (3, 4) or tuple(x.shape[-3:]) != (self.in_channels, *self.input_size):
            expected = ", ".join(map(str, (self.in_channels, *self.input_size)))
            raise UsageError(
                f"This shared-global layer was made for inputs of shape (n, {expected}); got {tuple(x.shape)}."
            )
        batch = x if x.ndim == 4 else x.unsqueeze(0)
        if self.padding_mode != "circular":
            (top, bottom), (left, right) = self._around
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            batch = functional.pad(batch, (left, right, top, bottom), mode=mode)
        y = self.everywhere(batch)
        y = y.index_select(2, self._kept(0, x.device)).index_select(3, self._kept(1, x.device))
        return y if x.ndim == 4 else y.squeeze(0)

    @torch.no_grad()
    def hold(self, kernel: Tensor) -> None:
        """Sets the kernel to a convolution's (out, in / groups, kernel_h, kernel_w), zero outside of the window."""
        weight = self.everywhere.weight.zero_()
        for tap_row, row in enumerate(self._taps(0)):
            for tap_column, column in enumerate(self._taps(1)):
                weight[:, :, row, column] += kernel[:, :, tap_row, tap_column]

    def extra_repr(self) -> str:
        """Says where the kept places come from."""
        said = [f"kernel_size={self.kernel_size}, input_size={self.input_size}, stride={self.stride}"]
        said += [f"padding={self._around}, padding_mode={self.padding_mode!r}, output_size={self.output_size}"]
        return ", ".join(said)

    def _reach(self, axis: int) -> int:
        return self.dilation[axis] * (self.kernel_size[axis] - 1) + 1

    def _num_places(self, axis: int) -> int:
        return (self.input_size[axis] + sum(self._around[axis]) - self._reach(axis)) // self.stride[axis] + 1

    def _taps(self, axis: int) -> list[int]:
        """The window's middle lies on the kernel's own place, (size - 1) // 2."""
        size = self.ring_size[axis]
        first = (size - 1) // 2 - (self._reach(axis) - 1) // 2
        return [(first + tap * self.dilation[axis]) % size for tap in range(self.kernel_size[axis])]

    def _kept(self, axis: int, device: torch.device) -> Tensor:
        """Where the window's middle lies for each output, on the ring."""
        before = self._around[axis][0] if self.padding_mode == "circular" else 0
        first = (self._reach(axis) - 1) // 2 - before
        places = torch.arange(self.output_size[axis], device=device) * self.stride[axis] + first
        return places % self.ring_size[axis]

    def _require_fit(self) -> None:
        wrong = [
            f"{name}: a kernel that reaches over {self._reach(axis)}: at most "
            f"{self.input_size[axis] + sum(self._around[axis])}, the padded {name}"
            for axis, name in enumerate(("height", "width"))
            if self._num_places(axis) < 1
        ]
        if wrong:
            raise UsageError("\n  ".join(["This shared-global layer cannot be made. Expected:", *wrong]))
