"""What the certificate's rules know: what keeps answers is let through, what may break them is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from circular_networks import Asked, Residual, circular, mean, sharpened, some_pictures, stack, told, tried
from whyconv.errors import UsageError
from whyconv.measures import certify, conditions
from whyconv.nets import PolyphasePool2d, with_full_borders

KEPT: dict[str, Callable[[Tensor], Tensor]] = {
    "maximum over places": lambda x: x.amax(dim=(2, 3)),
    "one axis after the other": lambda x: x.mean(dim=3).mean(dim=2),
    "places in a row, then their mean": lambda x: x.flatten(2).mean(dim=2),
    "global pooling by a window": lambda x: F.avg_pool2d(x, 8).flatten(1),
    "the largest by a window": lambda x: F.max_pool2d(x, 8).flatten(1),
    "adaptive maximum": lambda x: F.adaptive_max_pool2d(x, 1).flatten(1),
    "channels last": lambda x: mean(F.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2)),
    "squeeze and excite": lambda x: mean(x * x.mean(dim=(2, 3), keepdim=True).sigmoid()),
    "group norm": lambda x: mean(F.group_norm(x, 2).relu()),
    "softmax over channels": lambda x: mean(x.softmax(dim=1) * x),
    "softmax over places": lambda x: (x.flatten(2).softmax(dim=2) * x.flatten(2)).sum(dim=2),
    "channels apart and together": lambda x: mean(torch.cat([each.relu() for each in x.split(2, dim=1)], dim=1)),
    "shuffled channels": lambda x: mean(x.view(-1, 2, 2, 8, 8).transpose(1, 2).reshape(-1, 4, 8, 8).tanh()),
    "stride one, padded by hand": lambda x: mean(F.max_pool2d(F.pad(x, (1, 1, 1, 1), mode="circular"), 3, stride=1)),
    "moved around": lambda x: mean((x + torch.roll(x, (1, 2), dims=(2, 3))).relu()),
    "in place": lambda x: mean(x.relu_().mul_(2)),
    "a plane of one number": lambda x: mean(x * torch.full((8, 8), 2.0)),
    "spread": lambda x: x.std(dim=(2, 3)) + x.square().mean(dim=(2, 3)).sqrt(),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_keeps_answers_is_let_through_and_does(name: str) -> None:
    torch.manual_seed(0)
    network = sharpened(Asked(KEPT[name]))
    assert told(network) == {}
    assert tried(network, some_pictures(4)).is_held


BROKEN: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "a mask": (lambda x: mean(x * torch.arange(8.0)), "condition_numbers"),
    "a slice": (lambda x: mean(x[:, :, :4]), "condition_slice"),
    "one place": (lambda x: x[:, :, 2, 3], "condition_slice"),
    "every other place": (lambda x: mean(x[:, :, ::2].relu()), "condition_stride"),
    "where the largest is": (lambda x: x.flatten(2).argmax(dim=2).float(), "condition_places"),
    "four places left": (lambda x: F.adaptive_avg_pool2d(x, 2)[:, :, 0, 0], "condition_places_left"),
    "reflection": (
        lambda x: mean(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), torch.ones(4, 1, 3, 3), groups=4)),
        "condition_padding",
    ),
    "rows into rows": (lambda x: torch.roll(x.flatten(2), 1, 2).mul(x.flatten(2)).sum(dim=2), "condition_unknown"),
    "turned over": (lambda x: mean(x * x.flip(3)), "condition_unknown"),
    "sorted rows": (lambda x: x.cumsum(dim=2)[:, :, 3].mean(dim=2), "condition_unknown"),
    "dropout that stays": (lambda x: mean(F.dropout(x, 0.5)), "condition_random"),
    "statistics of the batch": (lambda x: mean(F.batch_norm(x, None, None, training=True).relu()), "condition_batch"),
    "the mean picture": (lambda x: mean((x - x.mean(dim=0)).relu()), "condition_mixes"),
    "a layer made on the way": (lambda x: mean(PolyphasePool2d(2)(x)), "condition_stride"),
    "a look at numbers": (lambda x: mean(x) if float(x[0, 0].sum()) > 0 else -mean(x), "condition_looks"),
    "a bias for each place": (
        lambda x: mean(F.layer_norm(x, x.shape[1:], None, torch.arange(256.0).view(4, 8, 8)).relu()),
        "condition_numbers",
    ),
    "an answer made elsewhere": (lambda x: torch.tensor(x.mean(dim=(2, 3)).tolist()), "condition_answer_unknown"),
    "an answer with places": (lambda x: x.permute(0, 2, 3, 1), "condition_answer_moves"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_may_break_answers_is_refused(name: str) -> None:
    torch.manual_seed(0)
    function, key = BROKEN[name]
    network = Asked(function).eval()
    assert key in told(network), conditions(network, (1, 8, 8)).reasons


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_modules_of_torchscript_are_refused_by_name() -> None:
    network = torch.jit.script(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()))
    with pytest.raises(UsageError, match="TorchScript cannot be followed"):
        conditions(network, (1, 8, 8))


def test_a_phase_of_another_grid_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = PolyphasePool2d(2), PolyphasePool2d(2)

        def forward(self, x: Tensor) -> Tensor:
            phase = self.first.choose(x)
            return mean(self.second(self.first(x, phase), phase))

    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = PolyphasePool2d(2)

        def forward(self, x: Tensor) -> Tensor:
            return mean(self.pool(x, torch.eye(4)[:1].repeat(len(x), 1)))

    assert told(Twice()) == {"condition_branches": {"second"}}
    assert told(Fixed()) == {"condition_phase": {"pool"}}


def test_a_layer_of_ones_own_that_looks_like_the_known_one_is_not_taken_for_it() -> None:
    class First(PolyphasePool2d):
        def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
            return x[:, :, ::2, ::2]

    assert told(stack(circular(1, 4), First(2))) == {"condition_stride": {"1"}}


def test_a_learned_choice_whose_border_was_changed_is_not_taken_for_it() -> None:
    network = Residual(learned=True)
    with_full_borders(network.pool)
    assert told(network) == {"condition_unknown": {"pool.choice", "pool"}}


def test_a_network_that_fails_is_told_with_what_was_found_before() -> None:
    network = stack(nn.Conv2d(1, 4, 3, padding=1), nn.Linear(5, 5))
    assert told(network) == {"condition_padding": {"0"}, "condition_fails": {"Sequential"}}


def test_training_flags_hooks_and_random_numbers_are_left_as_they_were() -> None:
    network = Residual(learned=True).train()
    before, state = torch.random.get_rng_state(), {key: each.clone() for key, each in network.state_dict().items()}
    certify(network, some_pictures(3))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(each.training for each in network.modules())
    assert all(torch.equal(each, state[key]) for key, each in network.state_dict().items())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in network.modules())
