"""The locally connected layer against the convolution it is made of, against torch's unfold, and under export."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError
from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d, window_products

DOUBLE = torch.float64


def layer_and_convolution(**asked) -> tuple[LocallyConnected2d, nn.Conv2d]:
    """A locally connected layer whose places all have the kernel and biases of one convolution."""
    input_size = asked.pop("input_size")
    convolution = nn.Conv2d(**asked, dtype=DOUBLE)
    layer = LocallyConnected2d(**asked, input_size=input_size, dtype=DOUBLE)
    with torch.no_grad():
        layer.weight.copy_(convolution.weight)
        if layer.bias is not None:
            layer.bias.copy_(convolution.bias)
    return layer, convolution


@st.composite
def configurations(draw: st.DrawFn) -> dict:
    small = st.integers(1, 3)
    groups = draw(st.integers(1, 2))
    asked = {
        "in_channels": groups * draw(small),
        "out_channels": groups * draw(small),
        "groups": groups,
        "kernel_size": (draw(small), draw(small)),
        "stride": (draw(small), draw(small)),
        "dilation": (draw(small), draw(small)),
        "padding": draw(st.one_of(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.sampled_from(["same", "valid"]))),
        "padding_mode": draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
        "bias": draw(st.booleans()),
        "input_size": (draw(st.integers(4, 9)), draw(st.integers(4, 9))),
    }
    if asked["padding"] == "same":
        asked["stride"] = (1, 1)
    return asked


@pytest.mark.filterwarnings("ignore:Using padding=.same.:UserWarning")  # torch says so of its own copy
@settings(max_examples=30, deadline=None)
@given(asked=configurations(), buffer_bytes=st.sampled_from([1, 3000, 1 << 20]))
def test_with_one_kernel_everywhere_it_is_the_convolution_and_the_gradients_add_up(asked, buffer_bytes) -> None:
    try:
        layer, convolution = layer_and_convolution(**asked)
    except UsageError:
        assume(False)
    n, (height, width) = 2, asked["input_size"]
    x = torch.randn(n, asked["in_channels"], height, width, dtype=DOUBLE, requires_grad=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_products, "_BUFFER_BYTES", buffer_bytes)
        y, expected = layer(x), convolution(x)
        along = torch.randn_like(expected)
        grad, *grads = torch.autograd.grad(y, (x, *layer.parameters()), along)
    expected_grad, *expected_grads = torch.autograd.grad(expected, (x, *convolution.parameters()), along)
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(y, expected, **close)
    torch.testing.assert_close(grad, expected_grad, **close)
    for ours, theirs in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(ours.sum(dim=(0, 1)), theirs, **close)


def by_unfold(layer: LocallyConnected2d, x: Tensor) -> Tensor:
    """The obvious form, for weights that differ from place to place; zeros around the picture, one group."""
    windows = functional.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    y = torch.einsum("nkp,pok->nop", windows, layer.weight.flatten(0, 1).flatten(2))
    return y.unflatten(2, layer.output_size) + layer.bias.permute(2, 0, 1)


def test_each_place_has_weights_of_its_own() -> None:
    torch.manual_seed(0)
    layer = LocallyConnected2d(3, 4, (3, 2), (9, 8), stride=(2, 1), padding=(1, 2), dilation=(1, 2), dtype=DOUBLE)
    x = torch.randn(5, 3, 9, 8, dtype=DOUBLE)
    torch.testing.assert_close(layer(x), by_unfold(layer, x), rtol=1e-12, atol=1e-12)
    before = layer(x)
    with torch.no_grad():
        layer.weight[1, 2] += 1
        layer.bias[0, 0] += 1
    changed = (layer(x) != before).any(dim=0).any(dim=0).nonzero().tolist()
    assert changed == [[0, 0], [1, 2]]


@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_gradients_of_second_order(mode: str) -> None:
    torch.manual_seed(0)
    layer = LocallyConnected2d(
        2, 4, (2, 3), (4, 5), padding=1, groups=2, stride=(2, 1), padding_mode=mode, dtype=DOUBLE
    )
    x = torch.randn(2, 2, 4, 5, dtype=DOUBLE, requires_grad=True)

    def answer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    arguments = (x, *(each.detach().clone().requires_grad_() for each in layer.parameters()))
    assert torch.autograd.gradcheck(answer, arguments, fast_mode=True)
    assert torch.autograd.gradgradcheck(answer, arguments, fast_mode=True)


def test_a_tap_that_only_meets_padding_is_never_taught() -> None:
    layer = LocallyConnected2d(1, 1, 3, 4, padding=1, bias=False)
    layer(torch.rand(2, 1, 4, 4) + 1).sum().backward()
    taught = (layer.weight.grad != 0).sum()
    assert taught == 100  # of 16 x 9: (2 + 3 + 3 + 2) taps on data along each axis
    assert layer.weight.grad[0, 0, 0, 0].ne(0).tolist() == [[False] * 3, [False, True, True], [False, True, True]]


def test_the_starting_weights_have_the_spread_of_the_convolutions() -> None:
    torch.manual_seed(0)
    layer = LocallyConnected2d(8, 16, 5, 20, groups=2)
    bound = 1 / (5 * 5 * 8 / 2) ** 0.5
    assert bound * 0.999 < layer.weight.abs().max().item() <= bound
    assert abs(layer.weight.std().item() - bound / 3**0.5) < 0.01 * bound
    assert bound * 0.99 < layer.bias.abs().max().item() <= bound


def test_state_dict_repr_and_pictures_without_n() -> None:
    layer = LocallyConnected2d(3, 6, 5, 32, padding="same", dtype=DOUBLE)
    assert {key: tuple(value.shape) for key, value in layer.state_dict().items()} == {
        "weight": (32, 32, 6, 3, 5, 5),
        "bias": (32, 32, 6),
    }
    other = LocallyConnected2d(3, 6, 5, 32, padding=2, dtype=DOUBLE)
    other.load_state_dict(layer.state_dict())
    x = torch.rand(2, 3, 32, 32, dtype=DOUBLE)
    assert torch.equal(layer(x), other(x))
    torch.testing.assert_close(layer(x[0]), layer(x)[0])
    assert repr(layer) == (
        "LocallyConnected2d(3, 6, kernel_size=(5, 5), input_size=(32, 32), stride=(1, 1), padding='same', "
        "output_size=(32, 32))"
    )


def test_an_empty_batch_has_an_answer_and_a_gradient() -> None:
    layer = LocallyConnected2d(2, 4, 3, 6, groups=2)
    answer = layer(torch.zeros(0, 2, 6, 6))
    answer.sum().backward()
    assert answer.shape == (0, 4, 4, 4)
    assert not layer.weight.grad.any()


def test_one_picture_cut_out_of_many_is_taken_from_its_place() -> None:
    torch.manual_seed(0)
    layer, convolution = layer_and_convolution(in_channels=2, out_channels=3, kernel_size=3, input_size=(6, 7))
    x = torch.randn(4, 2, 6, 7, dtype=DOUBLE)
    for picture in (x[2:3], x.transpose(2, 3).contiguous().transpose(2, 3)[1:3], x[::2]):
        torch.testing.assert_close(layer(picture), convolution(picture), rtol=1e-12, atol=1e-12)


def test_the_operators_keep_what_their_schemas_promise() -> None:
    window = window_products.Window((3, 2), (1, 2), (1, 0, 0, 2), (1, 1), 2)
    x, weights = torch.randn(2, 4, 5, 6), torch.randn(4, 4, 6, 2, 3, 2)
    answer = window_products.products(x, weights, None, *window)
    checks = {"test_utils": ("test_schema", "test_faketensor")}
    torch.library.opcheck(window_products.products, (x, weights, torch.randn(4, 4, 6), *window), **checks)
    torch.library.opcheck(window_products.input_grad, (answer, weights, [5, 6], *window), **checks)
    torch.library.opcheck(window_products.weight_grad, (x, answer, *window), **checks)


def test_the_dispatcher_sees_one_operator_and_fake_tensors_need_no_memory() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        layer = LocallyConnected2d(64, 64, 3, 1000)  # 147 GB of weights
        answer = layer(torch.zeros(2, 64, 1000, 1000, requires_grad=True))
        answer.sum().backward()
    assert answer.shape == (2, 64, 998, 998)
    assert layer.weight.grad.shape == layer.weight.shape


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        LocallyConnected2d(3, 5, 3, 8, stride=0, groups=2, padding=(-1, 0), padding_mode="circle")
    said = str(caught.value)
    for part in ("stride = (0, 0)", "in_channels = 3", "out_channels = 5", "padding = (-1, 0)", "'circle'", "circular"):
        assert part in said
    for wrong, match in (
        ({"padding": "same", "stride": 2}, "same"),
        ({"padding": "full"}, "'same' or 'valid'"),
        ({"padding": 4, "padding_mode": "reflect"}, "at most 3"),
        ({"dilation": 2}, "reaches over 5"),
    ):
        with pytest.raises(UsageError, match=match):
            LocallyConnected2d(1, 1, 3, 4, **wrong)


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\(n, 1, 4, 4\); got \(2, 1, 5, 4\)"):
        LocallyConnected2d(1, 1, 3, 4)(torch.zeros(2, 1, 5, 4))


def test_the_form_for_exporters_answers_the_same(monkeypatch) -> None:
    torch.manual_seed(0)
    for mode, groups in product(("zeros", "reflect"), (1, 2)):
        layer = LocallyConnected2d(4, 6, (3, 2), (9, 8), (2, 1), 1, (1, 2), groups, padding_mode=mode, dtype=DOUBLE)
        x = torch.randn(3, 4, 9, 8, dtype=DOUBLE)
        expected = layer(x)
        with monkeypatch.context() as patch:
            patch.setattr(torch.compiler, "is_exporting", lambda: True)
            torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_onnxruntime_answers_as_torch(tmp_path) -> None:
    torch.manual_seed(0)
    local = LocallyConnected2d(4, 6, (3, 2), (9, 8), stride=(2, 1), padding=1, dilation=(1, 2), groups=2)
    network = nn.Sequential(local, SharedGlobal2d(6, 3, local.output_size)).eval()
    path = tmp_path / "network.onnx"
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    torch.onnx.export(network, (torch.randn(2, 4, 9, 8),), path, dynamo=True, dynamic_shapes=shapes, verbose=False)
    session = onnxruntime.InferenceSession(path)
    x = torch.randn(5, 4, 9, 8)
    (answer,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(answer, network(x).detach().numpy(), atol=1e-6)
