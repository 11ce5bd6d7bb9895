"""A network called with some of torch's functions replaced: the same weights, repaired while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from whyconv.measures.dense_sampling import Border, blurred, polyphase
from whyconv.measures.modules import Place, following
from whyconv.results.surgery import Obstacle

_CONVOLUTIONS: tuple[Any, ...] = (F.conv2d,)
_MAXIMA: tuple[Any, ...] = (F.max_pool2d, torch.max_pool2d)
_MEANS: tuple[Any, ...] = (F.avg_pool2d,)
_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_MAXIMUM = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_MEAN = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
Call = tuple[str, int]  # a module's path, and the number of its call
Pads = tuple[int, int, int, int]  # left, right, top, bottom, as torch's ``pad`` has them


class Repairing(TorchFunctionMode):
    """Replaces torch's functions while its ``with`` block runs; subclasses say by what.

    Attributes:
        place: Which module is at work.
        done: Calls of modules in which something was repaired.
        left: Calls in which it could not be, and why.
    """

    def __init__(self) -> None:
        super().__init__()
        self.place = Place()
        self.done: set[Call] = set()
        self.left: dict[Call, Obstacle] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        given = kwargs or {}
        for functions, names in ((_CONVOLUTIONS, _CONVOLUTION), (_MAXIMA, _MAXIMUM), (_MEANS, _MEAN)):
            if func in functions:
                named = dict(zip(names, args, strict=False)) | given
                if isinstance(named["input"], Tensor) and named["input"].ndim == 4:
                    return self.window(func, named)
        return self.other(func, args, given)

    def window(self, func: Callable[..., Any], named: dict[str, Any]) -> object:
        """A convolution or pooling, its arguments by name."""
        return func(**named)

    def other(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """Any other function."""
        return func(*args, **kwargs)

    def note(self, obstacle: Obstacle | None = None) -> None:
        """Remembers that the call at work was repaired, or why it was not."""
        if obstacle is None:
            self.done.add(self.place.now)
        else:
            self.left[self.place.now] = obstacle


class CircularPadding(Repairing):
    """All padding takes what lies on the other side."""

    def window(self, func: Callable[..., Any], named: dict[str, Any]) -> object:
        """Pads before the call, where it would have padded itself."""
        pads = _paddings(named)
        if not any(pads):
            return func(**named)
        x = self._padded(named["input"], pads)
        return func(**named) if x is None else func(**named | {"input": x, "padding": 0})

    def other(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """Padding that is called for by itself."""
        if func is F.pad:
            given, pads, mode = _padded_map(args, kwargs)
            if pads and mode != "circular":
                x = self._padded(given, pads)
                return func(*args, **kwargs) if x is None else x
        return func(*args, **kwargs)

    def _padded(self, x: Tensor, pads: tuple[int, ...]) -> Tensor | None:
        if max(pads[:2]) > x.shape[3] or max(pads[2:]) > x.shape[2]:
            self.note("too_wide")
            return None
        self.note()
        return F.pad(x, pads, mode="circular")


class DenseSampling(Repairing):
    """What strides or pools is computed at every place, then thinned out.

    Args:
        is_polyphase: Whether by the phase with the greatest norm; else smoothed.
        border: What lies beyond the map where nothing is padded.
        blocked: Calls that are left as they are, and why.
    """

    def __init__(self, border: Border, blocked: dict[Call, Obstacle], *, is_polyphase: bool) -> None:
        super().__init__()
        self.border = border
        self.is_polyphase = is_polyphase
        self.blocked = blocked
        self._circular: set[Pads] = set()

    def other(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """Padding that goes around is remembered, for its maps go on elsewhere than where they end."""
        if func is F.pad:
            _, pads, mode = _padded_map(args, kwargs)
            if pads and mode == "circular":
                self._circular.add(pads)
        return func(*args, **kwargs)

    def window(self, func: Callable[..., Any], named: dict[str, Any]) -> object:
        """Computes at every place, and thins out."""
        kernel = _kernel(named)
        # Windows that pool are side by side where no stride is given, those of a convolution one place apart.
        strides = _pair(named.get("stride") or (kernel if "kernel_size" in named else 1))
        reach = [each * (size - 1) + 1 for each, size in zip(_pair(named.get("dilation", 1)), kernel, strict=True)]
        pads = _paddings(named)
        sides = named["input"].shape[2] + sum(pads[2:]), named["input"].shape[3] + sum(pads[:2])
        outputs = [(side - far) // step + 1 for side, far, step in zip(sides, reach, strides, strict=True)]
        if max(strides) == 1 or outputs == [1, 1]:
            return func(**named)
        obstacle = self.blocked.get(self.place.now) or _obstacle(named, pads)
        self.note(obstacle)
        if obstacle:
            return func(**named)
        # As many places as there are phases, so that none lacks its last one.
        more = [step * n + far - 1 - side for step, n, far, side in zip(strides, outputs, reach, sides, strict=True)]
        x = self._extended(named["input"], pads, more, fill=-math.inf if func in _MAXIMA else 0.0)
        dense = func(**named | {"input": x, "stride": 1, "padding": 0})
        return polyphase(dense, strides) if self.is_polyphase else blurred(dense, strides, self.border)

    def _extended(self, x: Tensor, pads: Pads, more: Sequence[int], fill: float) -> Tensor:
        """Pads a map, and goes on after its end as it would have gone on."""
        ring = self._ring(x) if any(more) and not any(pads) else (0, 0, 0, 0)
        for axis, extra, own, around in ((2, more[0], pads[2:], ring[2:]), (3, more[1], pads[:2], ring[:2])):
            if any(own):
                x = _filled(x, axis, own, extra, fill)
            elif extra:
                x = self._continued(x, axis, around, extra)
        return x

    def _continued(self, x: Tensor, axis: int, ring: Sequence[int], extra: int) -> Tensor:
        length = x.shape[axis]
        places = torch.arange(length + extra, device=x.device)
        if any(ring) or self.border == "circular":
            # What follows padding that goes around is its next pixel, not the padded map's first.
            x = x.narrow(axis, ring[0], length - sum(ring))
            return x.index_select(axis, (places - ring[0]) % x.shape[axis])
        return x.index_select(axis, places.clamp(max=length - 1))

    def _ring(self, x: Tensor) -> Pads:
        """How wide the padding is that goes around in a map; asked of its numbers, for it may come from elsewhere."""
        for pads in () if x.is_meta else self._circular:
            left, right, top, bottom = pads
            high, wide = x.shape[2] - top - bottom, x.shape[3] - left - right
            if high < max(1, top, bottom) or wide < max(1, left, right):
                continue
            inside = x[:, :, top : top + high, left : left + wide]
            if torch.allclose(F.pad(inside, pads, mode="circular"), x):
                return pads
        return 0, 0, 0, 0


class MeanHead(Repairing):
    """A map that is flattened is replaced by its mean over places before."""

    def other(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """Whatever flattens."""
        x = args[0] if args else kwargs.get("input")
        if getattr(func, "__name__", "") not in ("flatten", "view", "reshape") or not isinstance(x, Tensor):
            return func(*args, **kwargs)
        answer = func(*args, **kwargs)
        is_head = x.ndim == 4 and x.shape[2] * x.shape[3] > 1 and answer.shape == (len(x), x[0].numel())
        if not is_head:
            return answer
        self.note()
        return x.mean(dim=(2, 3), keepdim=True).expand_as(x).reshape(answer.shape)


class Repaired(nn.Module):
    """A network that runs under repairs.

    Args:
        network: As it is; its weights are not touched.
        repairs: The first one sees last what is called.
    """

    def __init__(self, network: nn.Module, repairs: Sequence[Repairing]) -> None:
        super().__init__()
        self.network = network
        self.repairs = list(repairs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps as the network does."""
        with ExitStack() as stack:
            place = stack.enter_context(following(self.network))
            for repair in self.repairs:
                repair.place = place
                stack.enter_context(repair)
            answer: Tensor = self.network(x)
        return answer


def _filled(x: Tensor, axis: int, pads: Sequence[int], extra: int, fill: float) -> Tensor:
    """What pads goes on, but a maximum of nothing else has no value: there the last pixel goes on."""
    last = pads[0] + x.shape[axis] - 1
    after = pads[1] + (0 if math.isinf(fill) else extra)
    x = F.pad(x, (0, 0, pads[0], after) if axis == 2 else (pads[0], after), value=fill)
    return torch.cat([x, *[x.narrow(axis, last, 1)] * extra], dim=axis) if math.isinf(fill) and extra else x


def _pair(number: int | Sequence[int]) -> tuple[int, int]:
    several = (number, number) if isinstance(number, int) else tuple(number)
    return several if len(several) == 2 else (several[0], several[0])


def _kernel(named: dict[str, Any]) -> tuple[int, int]:
    return _pair(named["kernel_size"]) if "kernel_size" in named else tuple(named["weight"].shape[2:])


def _padded_map(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Pads | None, str]:
    """What torch's ``pad`` is called with; no pads where it does not add places to a map."""
    given = dict(zip(("input", "pad", "mode"), args, strict=False)) | kwargs
    x, pads = given["input"], tuple(given["pad"])
    is_map = x.ndim == 4 and len(pads) == 4 and min(pads) >= 0 and any(pads)
    return x, pads if is_map else None, given.get("mode", "constant")


def _paddings(named: dict[str, Any]) -> Pads:
    padding = named.get("padding", 0)
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        pairs = zip(_pair(named.get("dilation", 1)), _kernel(named), strict=True)
        (high, wide) = (spread * (size - 1) for spread, size in pairs)
        return wide // 2, wide - wide // 2, high // 2, high - high // 2
    high, wide = _pair(padding)
    return wide, wide, high, high


def _obstacle(named: dict[str, Any], pads: tuple[int, ...]) -> Obstacle | None:
    if named.get("ceil_mode"):
        return "rounded_up"
    is_partial = any(pads) and not named.get("count_include_pad", True)
    return "other_operation" if named.get("return_indices") or is_partial else None
