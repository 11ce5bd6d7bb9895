"""The certificate: conditions on networks that keep or break them, each fault found by its graph and by its shifts."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from whyconv.errors import ParityError, UsageError
from whyconv.measures import certify, conditions
from whyconv.measures.certificate import require_held, try_shifts
from whyconv.nets import NETWORKS, BlurPool2d, PlainCircular, PolyphasePool2d, build_network, with_full_borders
from whyconv.nets.layers import PhaseChoice
from whyconv.results.certificate import Certificate
from whyconv.show.certificate import certificate_lines
from whyconv.show.text import sentence

MODULE = sys.modules["whyconv.measures.certificate"]


def circular(inputs: int, outputs: int, kernel: int = 3, **words: object) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="circular", **words)


class Residual(nn.Module):
    """A block whose branches are both subsampled; faults can be planted."""

    def __init__(self, *, is_separate: bool = False, learned: bool = False, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.stem = circular(1, 6)
        self.look = nn.Sequential(circular(6, 6), nn.BatchNorm2d(6), nn.ReLU(), circular(6, 6))
        words = {"choice": "learned", "channels": 6} if learned else {}
        self.pool = PolyphasePool2d(2, blur_taps=3, **words)
        self.shortcut = shortcut or nn.Conv2d(6, 6, 1)
        self.is_separate = is_separate
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        y, beside = self.look(x), self.shortcut(x)
        phase = None if self.is_separate else self.pool.choose(y)
        pooled = beside if beside.shape != y.shape else self.pool(beside, phase)
        return self.head(F.relu(self.pool(y, phase) + pooled).mean(dim=(2, 3)))


class Asked(nn.Module):
    """A function of maps between two circular convolutions, then the mean."""

    def __init__(self, function: Callable[[Tensor], Tensor], head: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.function = circular(1, 4), function
        self.head = head or nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.function(self.first(x)))


def mean(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3))


def stack(*layers: nn.Module, features: int = 4, classes: int = 3) -> nn.Sequential:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, classes))


def sharpened(network: nn.Module, side: int = 8) -> nn.Module:
    """The same with logits of mean 0 and deviation 2 over pictures, so that probabilities show what changes."""
    last = [each for each in network.modules() if isinstance(each, nn.Linear)][-1]
    with torch.no_grad():
        logits = network.eval()(some_pictures(64, side, seed=9))
        scale = 2 / logits.std(dim=0)
        last.weight.mul_(scale[:, None])
        last.bias.copy_((last.bias - logits.mean(dim=0)) * scale)
    return network


def some_pictures(n: int = 12, side: int = 8, seed: int = 0) -> Tensor:
    """Noise, brighter and darker."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, side, side, generator=generator) * torch.rand(n, 1, 1, 1, generator=generator)


def told(network: nn.Module, side: int = 8) -> dict[str, set[str]]:
    """Key of each reason -> layers it is told of."""
    found: dict[str, set[str]] = {}
    for note in conditions(network, (1, side, side)).reasons:
        found.setdefault(note.key, set()).add(note.values["layer"])
    return found


def tried(network: nn.Module, pictures: Tensor) -> Certificate:
    """The shifts alone, whatever the graph says."""
    found = conditions(network, pictures.shape[1:])
    return try_shifts(network, pictures, None, found, seconds=30)


@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("learned", [False, True])
def test_a_residual_network_with_one_phase_for_both_branches_is_certified(side: int, learned: bool) -> None:
    torch.manual_seed(0)
    network = sharpened(Residual(learned=learned))
    pictures = some_pictures(21 if side == 8 else 6, side)
    found = certify(network, pictures, [0] * len(pictures))
    assert (found.stride, found.num_choices) == (2, 1)
    assert found.protocol.n_every == found.n_certified + found.n_counted == len(pictures)
    assert found.n_counted <= 2  # of the darkest, whose phases are nearly alike
    assert found.protocol.num_shifts == side * side - 1
    assert 0 < found.largest_change < 1e-5
    assert found.num_changed == 0
    assert found.accuracy.n == len(pictures)
    # By hand: every shift of every picture.
    with torch.inference_mode():
        p = network(pictures).softmax(dim=1)
        worst = max(
            float((network(torch.roll(pictures, (a, b), dims=(2, 3))).softmax(dim=1) - p).abs().max())
            for a in range(side)
            for b in range(side)
        )
    assert worst < 1e-5


def test_the_circular_network_is_certified_and_no_other_of_the_catalogue() -> None:
    for name in NETWORKS:
        side = 32 if name in ("plain", "plain_circular", "swift", "lesson", "lenet5") else 64
        if name in ("vgg16", "alexnet", "resnet34", "resnet50", "resnet101", "resnet152", "efficientnet_lite0"):
            continue  # of these resnet18 and mobilenet_v2 speak for all, and are quicker
        network = build_network(name, in_channels=1, num_classes=3, side=side)
        found = conditions(network, (1, side, side))
        assert (not found.reasons) == (name == "plain_circular"), (name, found.reasons[:3])
    assert conditions(build_network("plain_circular", in_channels=1, num_classes=3, side=32), (1, 32, 32)).stride == 8


def test_all_faults_of_the_plain_network_are_told_at_once() -> None:
    found = told(build_network("plain", in_channels=1, num_classes=3, side=16), 16)
    assert found["condition_padding"] == {
        "stem.0",
        *(f"stages.{stage}.{part}.0" for stage in range(3) for part in ("widen", "refine")),
    }
    assert found["condition_pool"] == {"stages.1.pool", "stages.2.pool"}
    assert set(found) == {"condition_padding", "condition_pool"}


# --- planted faults, found by the graph and by the shifts

FAULTS: dict[str, tuple[Callable[[], nn.Module], int, str, str]] = {
    "branches pick separately": (
        lambda: Residual(is_separate=True, shortcut=circular(6, 6)),
        8,
        "condition_branches",
        "Residual",
    ),
    "zero padding in one layer": (
        lambda: Residual(shortcut=nn.Conv2d(6, 6, 3, padding=1)),
        8,
        "condition_padding",
        "shortcut",
    ),
    "a strided convolution": (
        lambda: Residual(shortcut=nn.Conv2d(6, 6, 1, stride=2)),
        8,
        "condition_stride",
        "shortcut",
    ),
    "a flattened head": (
        lambda: nn.Sequential(circular(1, 4), nn.ReLU(), PolyphasePool2d(2), nn.Flatten(), nn.Linear(64, 3)),
        8,
        "condition_flatten",
        "3",
    ),
    "plain max pooling": (
        lambda: stack(circular(1, 4), nn.ReLU(), nn.MaxPool2d(2), circular(4, 4), nn.ReLU()),
        8,
        "condition_pool",
        "2",
    ),
    "blur that strides": (
        lambda: stack(circular(1, 4), nn.ReLU(), BlurPool2d(3, 2), circular(4, 4), nn.ReLU()),
        8,
        "condition_pool",
        "2",
    ),
    "blur with zeros": (
        lambda: stack(circular(1, 4), BlurPool2d(3, 1, "zeros"), circular(4, 4), nn.ReLU()),
        8,
        "condition_padding",
        "1",
    ),
    "a convolution that shrinks": (
        lambda: stack(circular(1, 4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU()),
        8,
        "condition_shrinks",
        "2",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_twice(name: str) -> None:
    make, side, key, layer = FAULTS[name]
    torch.manual_seed(0)
    network, pictures = sharpened(make()), some_pictures(side=side)
    assert told(network, side) == {key: {layer}}
    with pytest.raises(UsageError, match=f"\n  {layer}: "):
        certify(network, pictures)
    found = tried(network, pictures)
    assert not found.is_held
    with pytest.raises(ParityError, match="By its graph"):
        require_held(found)
    assert ParityError.exit_code == 4


class Cropping(PolyphasePool2d):
    """Takes maps of every side, leaving the last places out: the fault that a side of 33 would be."""

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        return super().forward(x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2], phase)


def test_a_side_of_33_is_refused_and_would_show() -> None:
    torch.manual_seed(0)
    network = sharpened(stack(circular(1, 4), nn.ReLU(), PolyphasePool2d(2), circular(4, 4), nn.ReLU()))
    with pytest.raises(UsageError, match="2: 33 x 33 places are no multiple of its stride 2"):
        certify(network, some_pictures(side=33))
    certify(network, some_pictures(2, side=32), seconds=3)
    pool = Cropping(2)
    network[2] = pool
    assert "condition_slice" in told(network, 9)
    assert not tried(network, some_pictures(4, side=9)).is_held


def test_later_faults_are_told_beside_a_side_that_does_not_fit() -> None:
    network = stack(circular(1, 4), PolyphasePool2d(2), nn.Conv2d(4, 4, 3, padding=1), PolyphasePool2d(2))
    assert told(network, 10) == {"condition_sides": {"3"}, "condition_padding": {"2"}}
    assert told(network, 9) == {"condition_sides": {"1"}, "condition_padding": {"2"}}
    assert told(network, 11) == {"condition_sides": {"1", "3"}, "condition_padding": {"2"}}


# --- what the rules know

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


# --- near ties


def test_pictures_near_a_tie_are_counted_and_not_certified() -> None:
    torch.manual_seed(0)
    network = sharpened(Residual())
    pictures = some_pictures(5)
    pictures[2] = 0.5  # flat: every phase is as good as any other
    found = certify(network, pictures)
    assert (found.n_certified, found.n_counted) == (4, 1)
    assert found.smallest_margin < 1e-5
    assert found.largest_change_counted is not None
    assert found.num_changed_counted == 0
    strict = certify(network, pictures, delta=1.0)
    assert (strict.n_certified, strict.largest_change, strict.n_counted) == (0, None, 5)


def test_without_the_rule_for_near_ties_a_lie_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    # A choice that looks at places says that it is sure: the shifts tell.
    monkeypatch.setattr(PhaseChoice, "forward", lambda self, x: torch.eye(4)[:1].repeat(len(x), 1))
    torch.manual_seed(0)
    with pytest.raises(ParityError, match="changed by"):
        certify(sharpened(Residual()), some_pictures())


# --- how much is tried


def test_at_least_twenty_pictures_get_every_shift_where_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    network, pictures = sharpened(Residual()), some_pictures(30)
    clock = iter(float(each) / 4 for each in range(10_000))
    monkeypatch.setattr(MODULE.time, "perf_counter", lambda: next(clock))
    # A quarter of a second a picture: 20 take 5 s, twice of 3 s.
    found = certify(network, pictures, seconds=3)
    assert (found.protocol.n_every, found.protocol.n_one) == (20, 10)
    # For 20 there is no time: as many as there is time for.
    found = certify(network, pictures, seconds=1)
    assert 1 <= found.protocol.n_every <= 4


def test_single_and_double_precision_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    network, pictures = sharpened(Residual()), some_pictures(3)
    single, double = certify(network, pictures), certify(network.double(), pictures.double())
    assert (single.protocol.dtype, double.protocol.dtype) == ("float32", "float64")
    assert double.largest_change < 1e-12 < single.largest_change


def test_pictures_and_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="3 pictures and 2 labels"):
        certify(Residual(), some_pictures(3), [0, 1])
    with pytest.raises(UsageError, match=r"shape \(1, 8, 8\)"):
        certify(Residual(), some_pictures(3)[0])


# --- words


@pytest.mark.parametrize("language", ["en", "ko"])
def test_lines_say_what_was_tried_and_what_it_does_not_mean(language: str) -> None:
    pictures = some_pictures(5)
    pictures[2] = 0.5
    found = certify(sharpened(Residual()), pictures, [0] * 5)
    text = " ".join(line.strip() for line in certificate_lines(found, language, "pets"))
    assert "pets" in text
    assert "63" in text
    assert f"{found.largest_change:.1e}" in text
    assert "2021" in text
    assert "2021" in sentence(found.sentence, language)
    assert all(len(line) <= 80 for line in certificate_lines(found, "en", "pets"))
    broken = found.model_copy(update={"largest_change": 0.3})
    wrong = {"en": "do not rely", "ko": "믿지"}[language]
    assert wrong in " ".join(certificate_lines(broken, language, "pets"))
    assert wrong in sentence(broken.sentence, language)


def test_the_whole_network_trained_a_little_is_certified() -> None:
    torch.manual_seed(0)
    network = PlainCircular(1, 2, 8, width=8)
    pictures = some_pictures(64)
    labels = (pictures.mean(dim=(1, 2, 3)) > 0.5).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(network(pictures), labels).backward()
        optimizer.step()
    found = certify(network, pictures, labels.tolist())
    assert found.n_certified + found.n_counted == 64
    assert found.n_certified > 55
    assert found.protocol.n_every == 64
