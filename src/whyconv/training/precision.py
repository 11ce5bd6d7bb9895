"""Convolutions in bfloat16, where this processor is faster with it and right: weights and the rest stay float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from whyconv.settings import Precision

Forward = Callable[[Tensor], Tensor]


@contextmanager
def computing_in(precision: Precision, network: nn.Module) -> Iterator[Forward]:
    """Gives the function that asks ``network`` in this precision, while the block runs.

    In "bfloat16" all convolutions but the first compute on numbers of 16 bits, and what lies between them too. The
    first layer, normalization's statistics, linear layers and the logits stay float32; so do all weights, of which a
    rounded copy is made whenever the network is asked.

    Args:
        precision: "float32": ``network`` itself is given.
        network: Its modules have hooks while the block runs.
    """
    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    if precision == "float32" or len(convolutions) < 2:
        yield network
        return
    first, *others = convolutions
    linear = [each for each in network.modules() if isinstance(each, nn.Linear)]
    handles = [first.register_forward_hook(_lower_output)]
    handles += [each.register_forward_pre_hook(_lower_input) for each in others]
    handles += [each.register_forward_pre_hook(_raise_input) for each in linear]
    lowered = {id(each) for convolution in others for each in convolution.parameters()}

    def forward(x: Tensor) -> Tensor:
        rounded = {name: each.to(torch.bfloat16) for name, each in network.named_parameters() if id(each) in lowered}
        logits: Tensor = functional_call(network, rounded, (x,))
        return logits.float()

    try:
        yield forward
    finally:
        for handle in handles:
            handle.remove()


def _lower_output(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output.to(torch.bfloat16)


def _lower_input(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (args[0].to(torch.bfloat16), *args[1:])


def _raise_input(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (args[0].float(), *args[1:])
