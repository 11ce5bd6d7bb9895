"""The circular kernel as large as the picture against torch's own circular convolution."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.measures import verify
from whyconv.nets.layers import SharedGlobal2d

DOUBLE = torch.float64
SIZES = [(8, 8), (7, 9), (6, 5), (1, 4)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", ["fourier", "direct"])
def test_it_is_the_circular_convolution_with_a_kernel_of_the_pictures_size(size, method) -> None:
    torch.manual_seed(0)
    layer = SharedGlobal2d(3, 4, size, method=method, dtype=DOUBLE)
    same = nn.Conv2d(3, 4, size, padding="same", padding_mode="circular", dtype=DOUBLE)
    same.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, *size, dtype=DOUBLE, requires_grad=True)
    along = torch.randn(2, 4, *size, dtype=DOUBLE)
    ours = torch.autograd.grad(layer(x), (x, *layer.parameters()), along)
    theirs = torch.autograd.grad(same(x), (x, *same.parameters()), along)
    torch.testing.assert_close(layer(x), same(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_with_zeros_outside_of_a_small_window_it_is_an_ordinary_convolution_on_a_ring(size) -> None:
    torch.manual_seed(0)
    small = nn.Conv2d(2, 3, (3, 5), padding=(1, 2), padding_mode="circular", dtype=DOUBLE)
    layer = SharedGlobal2d(2, 3, size, dtype=DOUBLE)
    top, left = (size[0] - 1) // 2, (size[1] - 1) // 2
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, :, top - 1 : top + 2, left - 2 : left + 3] = small.weight
        layer.bias.copy_(small.bias)
    x = torch.randn(2, 2, *size, dtype=DOUBLE)
    torch.testing.assert_close(layer(x), small(x), rtol=1e-12, atol=1e-12)


def test_the_answer_moves_along_and_every_output_sees_every_pixel() -> None:
    torch.manual_seed(0)
    layer = SharedGlobal2d(2, 3, (5, 6), dtype=DOUBLE)
    x = torch.randn(1, 2, 5, 6, dtype=DOUBLE)
    torch.testing.assert_close(layer(x.roll((2, 3), (2, 3))), layer(x).roll((2, 3), (2, 3)), rtol=1e-12, atol=1e-12)
    jacobian = torch.autograd.functional.jacobian(layer, x)
    assert (jacobian.abs() > 1e-9).all()


def test_gradients_of_second_order() -> None:
    layer = SharedGlobal2d(1, 2, (3, 4), dtype=DOUBLE)

    def answer(x, weight):
        return torch.func.functional_call(layer, {"weight": weight}, (x,))

    arguments = (
        torch.randn(2, 1, 3, 4, dtype=DOUBLE, requires_grad=True),
        layer.weight.detach().clone().requires_grad_(),
    )
    assert torch.autograd.gradgradcheck(answer, arguments, fast_mode=True)


def test_it_starts_like_a_dense_layer_and_says_what_it_is() -> None:
    layer = SharedGlobal2d(3, 6, 32)
    bound = 1 / (3 * 32 * 32) ** 0.5
    assert bound * 0.99 < layer.weight.abs().max().item() <= bound
    assert layer.weight.numel() == 18_432
    assert repr(layer) == "SharedGlobal2d(3, 6, input_size=(32, 32))"


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match=r"(?s)in_channels = 0.*'furier'.*'fourier'"):
        SharedGlobal2d(0, 1, 4, method="furier")
    with pytest.raises(UsageError, match=r"\(n, 1, 4, 4\); got \(1, 1, 4, 5\)"):
        SharedGlobal2d(1, 1, 4)(torch.zeros(1, 1, 4, 5))


@pytest.mark.parametrize("method", ["fourier", "direct"])
def test_groups_are_connected_within_themselves_only(method: str) -> None:
    torch.manual_seed(0)
    layer = SharedGlobal2d(4, 6, (5, 4), method=method, groups=2, dtype=DOUBLE)
    same = nn.Conv2d(4, 6, (5, 4), padding="same", padding_mode="circular", groups=2, dtype=DOUBLE)
    same.load_state_dict(layer.state_dict())
    x = torch.randn(2, 4, 5, 4, dtype=DOUBLE)
    torch.testing.assert_close(layer(x), same(x), rtol=1e-12, atol=1e-12)
    assert "groups=2" in repr(layer)
    assert layer.weight.abs().max() <= 1 / (2 * 5 * 4) ** 0.5
    found = verify(layer, (4, 5, 4))
    assert found.is_proved
    assert found.connections == 6 * 2 * 400
    with pytest.raises(UsageError, match="out_channels = 3: a multiple of groups = 2"):
        SharedGlobal2d(4, 3, 4, groups=2)
