"""Our locally connected layer against unfold + einsum: time and memory of forward and backward.

    python benchmarks/locally_connected.py [--pairs 25] [--threads 2]

Both get the same weights, input and gradient. The two are timed in turn, one call each, so that whatever else the
machine does meets both; printed are the medians, the quartiles of the ratios of the pairs, and n. unfold + einsum is
tried with its weights in two orders, and the faster one is taken.

Memory is what torch's allocator handed out at the highest moment of one forward and backward, less the output and
the gradients of input, weights and biases; the input, the weights and the output's gradient are there before.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from whyconv.machine import set_thread_habits

set_thread_habits()  # before torch is imported: threads that wait sleep

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.nets.layers import LocallyConnected2d


@dataclass(frozen=True)
class Shape:
    """Of one comparison."""

    n: int
    in_channels: int
    side: int
    out_channels: int
    kernel: int
    stride: int = 1
    padding: int = 0

    def __str__(self) -> str:
        words = f"{self.n} x {self.in_channels} x {self.side} x {self.side} -> {self.out_channels}"
        return f"{words}, {self.kernel}x{self.kernel} stride {self.stride} padding {self.padding}"


SHAPES = (
    Shape(32, 3, 32, 6, 5),
    Shape(64, 1, 28, 32, 5),
    Shape(32, 16, 16, 32, 3, padding=1),
    Shape(16, 32, 28, 32, 3, stride=2, padding=1),
    Shape(16, 64, 14, 64, 3, padding=1),
)


class Unfolded(nn.Module):
    """What people write: windows by unfold, products by einsum."""

    def __init__(self, layer: LocallyConnected2d, places_first: bool) -> None:
        super().__init__()
        weight = layer.weight.detach().flatten(0, 1).flatten(2)  # (places, out, taps)
        self.formula = "nkp,pok->nop" if places_first else "nkp,okp->nop"
        self.weight = nn.Parameter(weight.contiguous() if places_first else weight.permute(1, 2, 0).contiguous())
        self.bias = nn.Parameter(layer.bias.detach().permute(2, 0, 1).contiguous())
        self.layer = [layer]

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, c, h, w) to (n, out_channels, places_h, places_w)."""
        layer = self.layer[0]
        windows = functional.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        y = torch.einsum(self.formula, windows, self.weight)
        return y.view(len(x), -1, *layer.output_size) + self.bias


def both_ways(layer: nn.Module, x: Tensor, grad: Tensor) -> Callable[[], Tensor]:
    """One forward and backward, its gradients as if for the first time."""

    def go() -> Tensor:
        x.grad = None
        layer.zero_grad(set_to_none=True)
        y = layer(x)
        y.backward(grad)
        return y

    return go


def seconds_of(go: Callable[[], object]) -> float:
    began = time.perf_counter()
    go()
    return time.perf_counter() - began


def extra_bytes(layer: nn.Module, x: Tensor, go: Callable[[], Tensor]) -> int:
    """Highest moment of the allocator over its start, less what every implementation must hold at the end."""
    x.grad = None
    layer.zero_grad(set_to_none=True)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        y = go()
    events = [each for each in profile.profiler.kineto_results.events() if each.name() == "[memory]"]
    now = highest = 0
    for event in sorted(events, key=lambda each: each.start_ns()):
        now += event.nbytes()
        highest = max(highest, now)
    needed = [y, x.grad, *(each.grad for each in layer.parameters())]
    return highest - sum(each.numel() * each.element_size() for each in needed)


def compare(shape: Shape, pairs: int) -> tuple[float, float]:
    """Prints one comparison; returns ours / theirs in time and in memory."""
    torch.manual_seed(0)
    ours = LocallyConnected2d(
        shape.in_channels, shape.out_channels, shape.kernel, shape.side, shape.stride, shape.padding
    )
    x = torch.randn(shape.n, shape.in_channels, shape.side, shape.side, requires_grad=True)
    grad = torch.randn_like(ours(x))
    candidates = [Unfolded(ours, places_first) for places_first in (True, False)]
    for each in candidates:
        torch.testing.assert_close(each(x), ours(x), rtol=1e-4, atol=1e-4)
    calls = [both_ways(each, x, grad) for each in candidates]
    medians = [statistics.median(seconds_of(call) for _ in range(7)) for call in calls]
    best = medians.index(min(medians))
    we, they = both_ways(ours, x, grad), calls[best]
    for call in (we, they):
        call()
    times = [(seconds_of(we), seconds_of(they)) for _ in range(pairs)]
    ratios = sorted(mine / theirs for mine, theirs in times)
    low, middle, high = statistics.quantiles(ratios, n=4)
    memory = extra_bytes(ours, x, we), extra_bytes(candidates[best], x, they)
    mine, theirs = (1000 * statistics.median(column) for column in zip(*times, strict=True))
    print(f"{shape}")
    print(
        f"  time    {mine:8.2f} ms against {theirs:8.2f} ms   ratio {middle:.2f} ({low:.2f} to {high:.2f}), n = {pairs}"
    )
    print(f"  memory  {memory[0] / 1e6:8.2f} MB against {memory[1] / 1e6:8.2f} MB   ratio {memory[0] / memory[1]:.2f}")
    return middle, memory[0] / memory[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=25, help="timed pairs for each shape")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(f"torch {torch.__version__}, {asked.threads} thread(s), float32, forward + backward")
    found = [compare(shape, asked.pairs) for shape in SHAPES]
    print(f"worst ratios: time {max(time for time, _ in found):.2f}, memory {max(memory for _, memory in found):.2f}")


if __name__ == "__main__":
    main()
