"""A frozen network and its head as one torch module: what is saved, counted, and compared with the exported file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.nets.efficientnet import EfficientNetLite0
from whyconv.pretrained.backbone import FrozenNetwork, pooled
from whyconv.pretrained.joining import Head


class FrozenWithHead(nn.Module):
    """A user's feature network, which onnxruntime runs, and the head that was learned on it.

    Args:
        frozen: The feature network.
        head: Its last layer.
    """

    def __init__(self, frozen: FrozenNetwork, head: Head) -> None:
        super().__init__()
        self._frozen = frozen
        self.head = nn.Linear(*head.weights.shape)
        put_head(self.head, head)

    def forward(self, x: Tensor) -> Tensor:
        """Maps normalized pictures (n, 3, side, side) to logits (n, classes); no gradient goes back to the pictures."""
        backbone = self._frozen.backbone
        found = self._frozen.run(x.detach().contiguous(), [backbone.features])[0]
        return self.head(torch.from_numpy(pooled(found, backbone.places)))


def with_head(
    published: EfficientNetLite0, head: Head, tuned: Mapping[str, tuple[Tensor, Tensor]]
) -> EfficientNetLite0:
    """The published network for other classes, in evaluation mode.

    Args:
        published: With the weights it came with.
        head: Its new last layer.
        tuned: Weights and biases of convolutions without the normalization after them, by name. That normalization is
            set to change nothing but to add the bias.
    """
    weights = {name: value for name, value in published.state_dict().items() if not name.startswith("_fc.")}
    network = EfficientNetLite0(num_classes=len(head.biases))
    network.load_state_dict({**network.state_dict(), **weights})
    put_head(network.last, head)
    layers = dict(network.convolutions())
    with torch.no_grad():
        for name, (weight, bias) in tuned.items():
            convolution, normalization = layers[name]
            convolution.weight.copy_(weight)
            _only_add(normalization, bias)
    return network.eval()


def put_head(layer: nn.Linear, head: Head) -> None:
    """Puts a head's numbers into a layer."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weights.T))
        layer.bias.copy_(torch.from_numpy(head.biases))


def get_head(layer: nn.Linear) -> Head:
    """The numbers of a layer as a head."""
    weights: NDArray[np.float32] = layer.weight.detach().t().contiguous().numpy().copy()
    return Head(weights, layer.bias.detach().numpy().copy())


def _only_add(normalization: nn.BatchNorm2d, bias: Tensor) -> None:
    assert normalization.running_mean is not None
    assert normalization.running_var is not None
    normalization.running_mean.zero_()
    normalization.running_var.fill_(1 - normalization.eps)
    normalization.weight.fill_(1)
    normalization.bias.copy_(bias)
