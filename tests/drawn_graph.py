"""Graphs put together by hand, layer by layer."""

from __future__ import annotations

from whyconv.counting import Axis, Graph, Node
from whyconv.counting.axis import PaddingMode


class DrawnGraph:
    """Every method adds a layer and returns the name of its output."""

    def __init__(self, *lengths: int) -> None:
        self.lengths = lengths
        self.nodes: list[Node] = []
        self.shapes: dict[str, tuple[int, ...]] = {"picture": (1, 1, *lengths)}

    def window(
        self,
        source: str,
        kernel: int | tuple[int, ...],
        stride: int = 1,
        padding: int | tuple[int, ...] = 0,
        dilation: int = 1,
        mode: PaddingMode = "zeros",
        *,
        kind: str = "convolution",
    ) -> str:
        lengths = self.shapes[source][2:]
        kernels = kernel if isinstance(kernel, tuple) else (kernel,) * len(lengths)
        paddings = padding if isinstance(padding, tuple) else (padding,) * len(lengths)
        axes = tuple(
            Axis(n, k, stride, (p, p), dilation, mode) for n, k, p in zip(lengths, kernels, paddings, strict=True)
        )
        return self.slide(source, axes, kind=kind)

    def slide(self, source: str, axes: tuple[Axis, ...], *, kind: str = "convolution") -> str:
        return self.add(kind, "window", [source], tuple(axis.output_length for axis in axes), axes=axes)

    def transposed(self, source: str, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> str:
        axes = tuple(
            Axis((n - 1) * stride + dilation * (kernel - 1) + 1 - 2 * padding, kernel, stride, (padding,) * 2, dilation)
            for n in self.shapes[source][2:]
        )
        lengths = tuple(axis.length for axis in axes)
        return self.add("convolution", "window", [source], lengths, axes=axes, is_transposed=True)

    def same(self, source: str, kernel: int | tuple[int, ...], stride: int = 1) -> str:
        """Padding "SAME" as TensorFlow lays it: as many outputs as ceil(n / stride), the odd place at the end."""
        lengths = self.shapes[source][2:]
        kernels = kernel if isinstance(kernel, tuple) else (kernel,) * len(lengths)
        axes = []
        for n, k in zip(lengths, kernels, strict=True):
            total = max(0, (-(-n // stride) - 1) * stride + k - n)
            axes.append(Axis(n, k, stride, (total // 2, total - total // 2)))
        return self.slide(source, tuple(axes))

    def meet(self, *sources: str, kind: str = "sum") -> str:
        sizes = [self.shapes[source][2:] for source in sources]
        return self.add(kind, "same", list(sources), tuple(map(max, zip(*sizes, strict=True))))

    def everywhere(self, source: str, *lengths: int) -> str:
        return self.add("linear", "all", [source], lengths)

    def add(self, kind: str, reach: str, sources: list[str], lengths: tuple[int, ...], **more: object) -> str:
        name = f"{kind}{len(self.nodes)}"
        value = f"{name}:0"
        self.nodes.append(Node(name, kind, kind, reach, tuple(sources), (value,), **more))  # type: ignore[arg-type]
        self.shapes[value] = (1, 1, *lengths)
        return value

    def graph(self) -> Graph:
        return Graph(("picture",), (self.nodes[-1].outputs[0],), tuple(self.nodes), self.shapes)
