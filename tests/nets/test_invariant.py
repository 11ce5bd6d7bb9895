"""Layers that move along with the picture: against loops, scipy, and every shift of small maps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

from whyconv.errors import UsageError
from whyconv.nets import (
    BlurPool2d,
    PlainCircular,
    PolyphasePool2d,
    build_network,
    with_circular_borders,
    with_full_borders,
)
from whyconv.nets.invariant import fitting_side, whole_stride
from whyconv.nets.layers.blur_pool import binomial_filter, index_drift
from whyconv.nets.layers.polyphase_pool import TIE

SCIPY_MODES = {"circular": "wrap", "reflect": "mirror", "zeros": "constant"}


def some_maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shifts(high: int, wide: int) -> Iterator[tuple[int, int]]:
    return itertools.product(range(high), range(wide))


def are_equal_but_for_a_shift(one: Tensor, other: Tensor) -> bool:
    """Whether some circular shift of ``one`` (c, h, w) is ``other``."""
    return any(
        torch.allclose(torch.roll(one, shift, dims=(1, 2)), other, atol=1e-9) for shift in shifts(*one.shape[1:])
    )


# --- blurring


@pytest.mark.parametrize("taps", [2, 3, 5])
@pytest.mark.parametrize("mode", ["circular", "reflect", "zeros"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_blurring_is_that_of_scipy_at_every_stride_th_place(taps: int, mode: str, stride: int) -> None:
    x = some_maps(2, 3, 9, 12)
    weights = binomial_filter(taps).numpy()
    # scipy centers an even filter on the place after its middle; ours on the one before.
    origin = -1 if taps % 2 == 0 else 0
    expected = x.numpy()
    for axis in (2, 3):
        expected = ndimage.correlate1d(expected, weights, axis=axis, mode=SCIPY_MODES[mode], origin=origin)
    found = BlurPool2d(taps, stride, mode).double()(x)
    assert found.shape == (2, 3, -(-9 // stride), -(-12 // stride))
    assert np.abs(found.numpy() - expected[:, :, ::stride, ::stride]).max() < 1e-7


def test_a_binomial_filter_is_box_after_box() -> None:
    for taps in (2, 3, 5):
        box = np.ones(1)
        for _ in range(taps - 1):
            box = np.convolve(box, [0.5, 0.5])
        assert np.array_equal(binomial_filter(taps).numpy(), box)


@pytest.mark.parametrize(("side", "taps", "stride"), list(itertools.product([7, 8, 9, 12], [2, 3, 5], [1, 2, 3])))
def test_the_drift_is_that_of_the_centers_of_mass(side: int, taps: int, stride: int) -> None:
    ramp = torch.arange(side, dtype=torch.float64).expand(1, 1, side, side)
    inner = BlurPool2d(taps, stride, "zeros").double()
    x = torch.eye(side, dtype=torch.float64)[:, None, :, None].expand(side, 1, side, side)  # one row lit at a time
    seen = inner(x)[:, 0, :, side // stride // 2]  # (row, output): what each output takes of each row
    rows = torch.arange(side, dtype=torch.float64)
    centers = (seen * rows[:, None]).sum(0) / seen.sum(0)
    whole = [each for each in range(len(centers)) if each * stride - 2 >= 0 and each * stride + 2 < side]
    offset = float(centers[whole[0]] - whole[0] * stride)
    middle = (len(centers) - 1) * stride / 2 + offset
    assert index_drift(side, taps, stride) == pytest.approx(middle - float(ramp.mean()))


def test_even_maps_want_an_even_filter_and_odd_maps_an_odd_one() -> None:
    assert index_drift(8, 2, 2) == index_drift(9, 3, 2) == index_drift(9, 5, 2) == 0.0
    assert index_drift(8, 3, 2) == -0.5
    assert index_drift(9, 2, 2) == 0.5


@pytest.mark.parametrize(("taps", "stride", "mode"), [(4, 2, "circular"), (3, 0, "circular"), (3, 2, "wrap")])
def test_other_blurs_are_refused(taps: int, stride: int, mode: str) -> None:
    with pytest.raises(UsageError, match="Expected 2, 3 or 5 taps"):
        BlurPool2d(taps, stride, mode)
    with pytest.raises(UsageError, match="cannot be padded by 2"):
        BlurPool2d(5, 2, "reflect")(torch.zeros(1, 1, 2, 2))


# --- picking a phase


@pytest.mark.parametrize("stride", [2, 3, 4])
@pytest.mark.parametrize("blur_taps", [0, 2, 3, 5])
@pytest.mark.parametrize("choice", ["largest", "learned"])
def test_every_shift_takes_the_same_places(stride: int, blur_taps: int, choice: str) -> None:
    torch.manual_seed(stride)
    channels = 3 if choice == "learned" else None
    pool = PolyphasePool2d(stride, choice=choice, channels=channels, blur_taps=blur_taps).double().eval()
    x = some_maps(2, 3, 12, 12)
    still = pool(x)
    assert still.shape == (2, 3, 12 // stride, 12 // stride)
    for shift in shifts(12, 12):
        moved = pool(torch.roll(x, shift, dims=(2, 3)))
        assert torch.allclose(moved.mean(dim=(2, 3)), still.mean(dim=(2, 3)), atol=1e-12)
        if shift[0] % 5 == 0 and shift[1] % 5 == 1:
            assert all(are_equal_but_for_a_shift(*pair) for pair in zip(still, moved, strict=True))


def test_the_largest_component_is_taken() -> None:
    x = some_maps(5, 4, 6, 6)
    found = PolyphasePool2d(2)(x)
    for picture, taken in zip(x, found, strict=True):
        components = [picture[:, i::2, j::2] for i in range(2) for j in range(2)]
        assert torch.equal(taken, max(components, key=lambda each: float(each.norm())))


def test_a_fixed_place_would_not_do() -> None:
    x = some_maps(1, 3, 8, 8)
    strided = [torch.roll(x, shift, dims=(2, 3))[:, :, ::2, ::2].mean() for shift in shifts(2, 2)]
    assert max(strided) - min(strided) > 0.01


def test_ties_between_arrangements_of_the_same_numbers_move_along() -> None:
    # Two components of one norm: the same four numbers, in mirrored order. The first one in order will not do.
    x = torch.zeros(1, 1, 4, 8, dtype=torch.float64)
    x[0, 0, 0, 0::2] = torch.tensor([1.0, 2.0, 3.0, 5.0], dtype=torch.float64)
    x[0, 0, 0, 1::2] = torch.tensor([5.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    pool = PolyphasePool2d(2)
    norms = pool.choice.scores(x)[0]
    assert norms[0] == norms[1] > norms[2]
    still = pool(x)[0]
    for shift in shifts(4, 8):
        assert are_equal_but_for_a_shift(still, pool(torch.roll(x, shift, dims=(2, 3)))[0])
    first = [torch.roll(x, (0, right), dims=(2, 3)) for right in range(2)]
    picked = [each[0, :, 0::2, (pool.choice.scores(each)[0, :2].argmax()) :: 2] for each in first]
    assert not are_equal_but_for_a_shift(*picked)


def test_on_a_flat_picture_any_choice_gives_the_same_map() -> None:
    pool = PolyphasePool2d(2)
    for level in (0.0, 3.0):
        flat = torch.full((1, 2, 6, 6), level)
        assert torch.equal(pool(flat), torch.full((1, 2, 3, 3), level))
        assert pool.choice.margin(flat) < 1e-6


def test_the_margin_is_how_much_the_choice_can_bear() -> None:
    pool = PolyphasePool2d(2).double()
    x = some_maps(40, 2, 4, 4)
    margins = pool.choice.margin(x)
    best = pool.choose(x)
    norms = pool.choice.scores(x).sort(dim=1, descending=True).values
    clear = 1 - norms[:, 1] / norms[:, 0]
    assert torch.allclose(margins, clear - TIE, atol=1e-12)
    # The runner-up grown by less than the margin changes nothing, by more everything.
    runner_up = pool.choice.scores(x).argsort(dim=1, descending=True)[:, 1]
    for factor, is_same in ((0.99, True), (1.01, False)):
        grown = x.clone()
        for n, k in enumerate(runner_up.tolist()):
            scale = 1 + factor * float(clear[n] / (1 - clear[n]))
            grown[n, :, k // 2 :: 2, k % 2 :: 2] *= scale
        same = (pool.choose(grown) == best).all(dim=1)
        # Within a tie the second number decides: leave out what lies there.
        decided = clear * 0.01 > 2 * TIE
        assert (same[decided] == is_same).all()
        assert decided.sum() > 20


def test_the_same_phase_is_handed_to_both_branches() -> None:
    pool = PolyphasePool2d(2, blur_taps=3)
    x, other = some_maps(3, 2, 8, 8), some_maps(3, 5, 8, 8, seed=1)
    phase = pool.choose(x)
    assert torch.equal(pool(x, phase), pool(x))
    assert not torch.equal(pool(other, phase), pool(other))
    pair = torch.cat([pool(x, phase), pool(other, phase)], dim=1)
    for shift in shifts(8, 8):
        moved, beside = (torch.roll(each, shift, dims=(2, 3)) for each in (x, other))
        at = pool.choose(moved)
        again = torch.cat([pool(moved, at), pool(beside, at)], dim=1)
        assert are_equal_but_for_a_shift(pair[0], again[0])


def test_gradients_flow_through_the_places_that_are_taken_and_no_others() -> None:
    x = some_maps(2, 3, 6, 6).requires_grad_()
    pool = PolyphasePool2d(2)
    pool(x).sum().backward()
    assert x.grad is not None
    phase = pool.choose(x).argmax(dim=1)
    for n, k in enumerate(phase.tolist()):
        expected = torch.zeros(3, 6, 6, dtype=torch.float64)
        expected[:, k // 2 :: 2, k % 2 :: 2] = 1.0
        assert torch.equal(x.grad[n], expected)


def test_learned_scores_get_gradients_while_training_and_decide_alone_afterwards() -> None:
    torch.manual_seed(0)
    pool = PolyphasePool2d(2, choice="learned", channels=3)
    x = some_maps(8, 3, 6, 6).float()
    pool(x).square().sum().backward()
    grads = [each.grad for each in pool.parameters()]
    assert all(each is not None and each.abs().sum() > 0 for each in grads)
    assert all(torch.equal(each.sum(dim=1), torch.ones(8)) for each in (pool.choose(x), pool.eval().choose(x)))
    # Noise in training, none afterwards.
    assert torch.equal(pool.choose(x), pool.choose(x))
    assert not torch.equal(pool.train().choose(x.repeat(20, 1, 1, 1)), pool.choose(x.repeat(20, 1, 1, 1)))
    assert torch.equal(pool.eval().choose(x).argmax(dim=1), pool.choice.scores(x).argmax(dim=1))


def test_a_learned_choice_learns_what_serves() -> None:
    # What serves is the darkest component; the norm would take the brightest.
    torch.manual_seed(1)
    pool = PolyphasePool2d(2, choice="learned", channels=1)
    optimizer = torch.optim.Adam(pool.parameters(), lr=0.02)

    def draw(n: int) -> tuple[Tensor, Tensor]:
        levels = torch.rand(n, 1, 2, 2)
        return levels.repeat(1, 1, 2, 2), levels.flatten(1)

    for _ in range(150):
        optimizer.zero_grad()
        pool(draw(64)[0]).mean().backward()
        optimizer.step()
    x, levels = draw(400)
    darkest = levels.argmin(dim=1)
    assert float((pool.eval().choose(x).argmax(dim=1) == darkest).float().mean()) > 0.9
    assert float((PolyphasePool2d(2).choose(x).argmax(dim=1) == darkest).float().mean()) < 0.1


@pytest.mark.parametrize(
    ("stride", "words"),
    [(2, {"choice": "largest", "channels": 3}), (2, {"choice": "learned"}), (1, {}), (2, {"choice": "x"})],
)
def test_other_choices_are_refused(stride: int, words: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="A choice of phases"):
        PolyphasePool2d(stride, **words)


def test_a_side_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(UsageError, match="33 x 32 places has no 2 x 2 components of one size"):
        PolyphasePool2d(2)(torch.zeros(1, 1, 33, 32))


# --- borders


def test_full_borders_let_every_weight_meet_every_pixel() -> None:
    for kernel, dilation in ((3, 1), (5, 1), (3, 2)):
        same = nn.Conv2d(1, 1, kernel, padding="same", dilation=dilation, bias=False)
        met = []
        for is_full in (False, True):
            convolution = with_full_borders(nn.Sequential(same))[0] if is_full else same
            convolution.zero_grad()
            convolution(torch.ones(1, 1, 9, 7)).sum().backward()
            met.append(convolution.weight.grad.clone())  # how many pixels each weight has met
        assert met[0].unique().numel() > 1
        assert torch.equal(met[1], torch.full_like(met[1], 9 * 7))
        reach = dilation * (kernel - 1)
        assert same(torch.ones(1, 1, 9, 7)).shape[2:] == (9 + reach, 7 + reach)


def test_circular_borders_are_those_of_numpy() -> None:
    convolution = nn.Conv2d(1, 1, 3, padding=1, bias=False).double()
    x = some_maps(1, 1, 6, 5)
    before = convolution(x)
    found = with_circular_borders(nn.Sequential(convolution))(x)
    expected = ndimage.correlate(x[0, 0].numpy(), convolution.weight[0, 0].detach().numpy(), mode="wrap")
    assert np.allclose(found[0, 0].detach().numpy(), expected)
    assert not torch.allclose(before, found)


def test_strided_convolutions_cannot_have_full_borders() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=2))
    with pytest.raises(UsageError, match="'1'"):
        with_full_borders(network)
    assert network[0].padding == (0, 0)


# --- the network


@pytest.mark.parametrize("side", [6, 8, 16, 64])
def test_the_circular_network_answers_every_shift_alike(side: int) -> None:
    torch.manual_seed(0)
    network = PlainCircular(1, 3, side, width=8).double().eval()
    x = some_maps(3, 1, side, side)
    with torch.inference_mode():
        still = network(x)
        for shift in itertools.islice(shifts(side, side), 0, None, 1 if side < 16 else 37):
            assert torch.allclose(network(torch.roll(x, shift, dims=(2, 3))), still, atol=1e-10)
        # The plain network does not.
        plain = build_network("plain", in_channels=1, num_classes=3, side=side).double().eval()
        assert not torch.allclose(plain(torch.roll(x, (1, 1), dims=(2, 3))), plain(x), atol=1e-3)


def test_a_side_that_does_not_fit_is_refused_and_a_fitting_one_is_named() -> None:
    with pytest.raises(UsageError, match=r"33 x 33 pixels 3 times, and 33 is no multiple of 8.*32 or 40: --size"):
        PlainCircular(3, 2, 33)
    for side in range(6, 300):
        fits = fitting_side(side)
        assert fits % whole_stride(fits) == 0
        assert side <= fits < 1.5 * side
