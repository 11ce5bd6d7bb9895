"""Fresh starting weights for a network and its twins, whose units start alike in spread whatever the structure."""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor, nn

from whyconv.nets.layers import DenseMap2d, LocallyConnected2d, SharedGlobal2d, SteppedGlobal2d

GAIN = 2.0
_DRAWN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, LocallyConnected2d, SharedGlobal2d)


@torch.no_grad()
def restart(network: nn.Module, seed: int, *, gain: float = GAIN) -> list[str]:
    """Draws a network's weights anew, so that it and its twins differ by their structure alone.

    Weights are normal with mean 0 and variance ``gain / fan_in``; biases are 0. The fan-in of a convolution, and of a
    locally connected layer, is ``kernel_h * kernel_w * in_channels / groups``; of a linear layer it is its inputs. A
    dense or shared-global twin sees every pixel, so its fan-in is all of them; and where the convolution's windows
    hang over a border of zeros, so that its outputs vary less, the twin's fan-in is larger by as much as data is
    missing there. So on inputs of equal variance all four give outputs of equal variance, in the mean over places.

    Normalization and all other layers with ``reset_parameters`` start as they do in torch. What is drawn depends on
    the seed and on the layer's name: what the twins have in common, such as the last layer, starts with equal numbers.
    Weights that are not learned (``requires_grad`` False) stay as they are, and so do parameters of modules that have
    no such method. A network whose own start is part of its recipe, as ``swift``'s is, loses it.

    Args:
        network: Convolutional, or a twin; its weights are overwritten.
        seed: At least 0.
        gain: Variance of a layer's outputs / mean square of its inputs; 2 keeps the spread through ReLU.

    Returns:
        Names of the parameters that stayed as they were.

    References:
        He and others, *Delving deep into rectifiers* (2015), arXiv 1502.01852, equation 10.
    """
    before = {name: id(parameter) for name, parameter in network.named_parameters()}
    fan_in: dict[nn.Module, float] = {}
    drawn: set[int] = set()
    for name, module in network.named_modules():
        if isinstance(module, DenseMap2d):
            fan_in[module[1]] = module.fan_in
        elif isinstance(module, SteppedGlobal2d):
            fan_in[module.everywhere] = module.fan_in
        elif isinstance(module, _DRAWN):
            drawn |= _draw(module, fan_in.get(module), gain, _number(seed, name), drawn)
        else:
            drawn |= _reset(module, _number(seed, name))
    return [name for name, number in before.items() if number not in drawn]


def _draw(module: nn.Module, fan_in: float | None, gain: float, number: int, drawn: set[int]) -> set[int]:
    """Overwrites weights and biases that are learned and not drawn yet, and returns which."""
    done = set()
    weight, bias = module.weight, module.bias
    if isinstance(weight, Tensor) and weight.requires_grad and id(weight) not in drawn:
        generator = torch.Generator(device=weight.device).manual_seed(number)
        weight.normal_(0, math.sqrt(gain / (fan_in or _own_fan_in(module, weight))), generator=generator)
        done.add(id(weight))
    if isinstance(bias, Tensor) and bias.requires_grad:
        bias.zero_()
        done.add(id(bias))
    return done


def _own_fan_in(module: nn.Module, weight: Tensor) -> int:
    """Inputs of one output."""
    return math.prod(weight.shape[3 if isinstance(module, LocallyConnected2d) else 1 :])


def _reset(module: nn.Module, number: int) -> set[int]:
    """Lets another layer start as torch has it, unless nothing of it is learned, and returns what was overwritten."""
    own = list(module.parameters(recurse=False))
    reset = getattr(module, "reset_parameters", None)
    has_statistics = isinstance(module, nn.modules.batchnorm._NormBase)
    if not callable(reset) or not (own or has_statistics) or (own and not any(each.requires_grad for each in own)):
        return set()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        reset()
    return {id(each) for each in own}


def _number(seed: int, name: str) -> int:
    """A seed of its own for each layer; of 32 bits, because torch's generator on the CPU looks at no more."""
    return zlib.crc32(f"{seed} {name}".encode())
