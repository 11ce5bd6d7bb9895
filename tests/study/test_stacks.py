"""Many networks on top of each other are the networks one by one, and what is not trained twice would be the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from small_square import SMALL, small_pictures
from whyconv.results import CONTROLS, CORNERS, PLACES, ArmName, Corner, Readout
from whyconv.study.control_square import make_study
from whyconv.study.controls import UNMOVED, make_controls, match_weights
from whyconv.study.corners import OneHiddenLayer, Sizes
from whyconv.study.draws import Draw
from whyconv.study.draws import batches as batches_of
from whyconv.study.protocol import Training
from whyconv.study.rings import move, random_shifts, slide
from whyconv.study.stacks import WARMUP_FRACTION, Stack, train_stack
from whyconv.study.trials import Job, Settings, checkpoints
from whyconv.training.optimizers import rate_fraction

STEPS = 12


def networks(corner: Corner, readout: Readout = "mean", members: int = 3, **other: object) -> list[OneHiddenLayer]:
    sizes = Sizes(2, 8, 4, 3, 5, readout, **other)  # type: ignore[arg-type]
    return [OneHiddenLayer(corner, sizes, seed).double() for seed in range(members)]


def batches(members: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(6, members, 2, 8, 8, dtype=torch.float64, generator=generator),
            torch.randint(0, 5, (members, 6), generator=generator),
        )
        for _ in range(STEPS)
    ]


@pytest.mark.parametrize(
    ("corner", "readout", "other"),
    [(corner, readout, {}) for corner in CORNERS for readout in ("mean", "places")]
    + [(corner, "mean", {"is_normalized": True}) for corner in CORNERS]
    + [("dense", "mean", {"width": 7})],
)
def test_a_stack_answers_and_learns_as_its_members_do(
    corner: Corner, readout: Readout, other: dict[str, object]
) -> None:
    members = networks(corner, readout, **other)
    stack = Stack.of(members)
    x = batches()[0][0]
    alone = torch.stack([member.eval()(x[:, row]) for row, member in enumerate(members)])
    assert torch.allclose(stack(x), alone, atol=1e-10)
    rates = [0.01, 0.05, 0.2]
    train_stack(stack, torch.tensor(rates, dtype=torch.float64), batches(), STEPS)
    for row, (member, rate) in enumerate(zip(members, rates, strict=True)):
        _train_alone(member, rate, row)
        for name, weight in member.named_parameters():
            # A bias that normalization takes out again moves by what Adam makes of rounding.
            assert torch.allclose(stack.weights[name][row], weight, atol=1e-7), name
        # Batch normalization has noted the same statistics.
        assert torch.allclose(stack(x)[row], member.eval()(x[:, row]), atol=1e-7)
    assert torch.equal(stack.members([2, 0]).weights["hidden.bias"], stack.weights["hidden.bias"][[2, 0]])


def _train_alone(network: OneHiddenLayer, rate: float, row: int) -> None:
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), eps=1e-8)
    for step, (x, labels) in enumerate(batches()):
        optimizer.param_groups[0]["lr"] = rate * rate_fraction("cosine", step, STEPS, WARMUP_FRACTION)
        optimizer.zero_grad()
        functional.cross_entropy(network(x[:, row]), labels[row]).backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("corner", "control"), [(corner, control) for control in CONTROLS for corner in UNMOVED[control]]
)
def test_adam_leaves_unmoved_corners_unmoved_too(corner: Corner, control: str) -> None:
    """Why accuracies under a control that leaves a corner unmoved are not measured a second time."""
    changed = make_controls(8, 3, 7)[control]  # type: ignore[index]
    plain, matched = networks(corner, members=1), networks(corner, members=1)
    matched[0].load_state_dict(match_weights(matched[0], changed))
    ends = []
    for start, change in ((plain, lambda x: x), (matched, changed)):
        stack = Stack.of(start)
        train_stack(stack, torch.tensor([0.05]).double(), [(change(x[:, :1]), y[:1]) for x, y in batches()], STEPS)
        ends.append(stack(change(batches()[0][0][:, :1])))
    assert torch.allclose(ends[0], ends[1], atol=1e-7)


@pytest.mark.parametrize("arm", ["plain", "normalized"])
@pytest.mark.parametrize("corner", ["shared_global", "convolution"])
def test_shared_corners_learn_the_same_from_moved_pictures(corner: Corner, arm: ArmName) -> None:
    study = make_study(small_pictures(), SMALL)
    ends = []
    for place in PLACES:
        job = Job(Training(corner, place, None, 60, arm), (Settings(0.1, 0.01),), (0, 1, 2), is_final=True)
        ends.append([history[-1].test for history in study.run(job).glances])
    assert ends[0] == pytest.approx(ends[1], abs=0.03)  # single precision: one picture of 40 may turn


def test_a_draw_is_asked_the_same_whoever_is_trained_beside_it() -> None:
    study = make_study(small_pictures(), SMALL)
    training = Training("dense", "moved", None, 60)
    both, alone = (
        study.run(Job(training, (Settings(0.1, 0.0),), draws, is_final=False)).glances[-1][-1]
        for draws in ((5, 6), (6,))
    )
    assert both.kept_loss == pytest.approx(alone.kept_loss, rel=1e-3)


def test_who_explodes_is_right_of_nothing() -> None:
    protocol = SMALL.model_copy(update={"arms": ["shifts"]})
    job = Job(Training("convolution", "still", None, 60, "shifts"), (Settings(1e30, 0.0),), (0,), is_final=True)
    result = make_study(small_pictures(), protocol).run(job)
    assert (result.glances[0][-1].test, result.averaged) == (0.0, [0.0])


def test_pictures_move_around_the_ring() -> None:
    x = torch.arange(2 * 16).view(2, 1, 4, 4)
    moved = move(x, torch.tensor([[1, 0], [0, 3]]).numpy())
    assert torch.equal(moved[0], x[0].roll(1, -2))
    assert torch.equal(moved[1], x[1].roll(3, -1))
    shifts = random_shifts(np.random.default_rng(0), (500,), 4)
    assert set(map(tuple, shifts.tolist())) == {(i, j) for i in range(4) for j in range(4)}


def test_pictures_slide_with_the_border_repeated() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    slid = slide(x, np.array([[1, -2]]))
    assert torch.equal(slid, functional.pad(x, (0, 2, 1, 0), mode="replicate")[:, :, :4, 2:])


def test_the_batches_are_the_same_for_every_corner_and_differ_by_draw() -> None:
    pictures = small_pictures()
    first, second = (
        list(batches_of(pictures, training, [Draw(pictures, SMALL, training, draw) for draw in range(2)], 3))
        for training in (Training(corner, "moved", "signs", 10) for corner in CORNERS[:2])
    )
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    assert first[0][0].shape == (8, 2, 1, 8, 8)  # two of the ten are kept apart
    assert not torch.equal(first[0][0][:, 0], first[0][0][:, 1])


def test_a_fifth_is_kept_apart_and_smaller_sets_lie_in_larger_ones() -> None:
    pictures = small_pictures()
    small, large = (Draw(pictures, SMALL, Training("dense", "still", None, n), 0) for n in (20, 60))
    assert (len(large.rows), len(large.kept)) == (48, 12)
    assert not set(large.rows) & set(large.kept)
    assert set(small.rows) <= set(large.rows)
    assert set(small.kept) <= set(large.kept)


def test_random_labels_are_the_same_ones_in_another_order() -> None:
    pictures = small_pictures()
    true, false = (
        Draw(pictures, SMALL, Training("dense", "still", None, 60, arm), 0) for arm in ("plain", "random_labels")
    )
    rows = np.concatenate([true.rows, true.kept])
    assert np.array_equal(true.labels(rows), pictures.train.labels[rows])
    assert sorted(false.labels(rows)) == sorted(true.labels(rows))
    assert not np.array_equal(false.labels(rows), true.labels(rows))


def test_decay_forgets_weights_and_no_biases() -> None:
    stack = Stack.of(networks("dense"))
    before = {name: weight.detach().clone() for name, weight in stack.weights.items()}
    still = [(x * 0, y) for x, y in batches()]
    rates = torch.full((3,), 0.1, dtype=torch.float64)
    train_stack(stack, rates, still, STEPS, decays=torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    kept = [
        np.prod([1 - 0.1 * rate_fraction("cosine", step, STEPS, WARMUP_FRACTION) * decay for step in range(STEPS)])
        for decay in (0.0, 0.5, 1.0)
    ]
    # Black pictures: the hidden weights have no gradient, and only fade.
    for row in range(3):
        assert torch.allclose(stack.weights["hidden.weight"][row], before["hidden.weight"][row] * kept[row])
    assert torch.allclose(stack.weights["hidden.bias"][0], stack.weights["hidden.bias"][0])


def test_members_of_a_job_do_not_depend_on_how_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(small_pictures(), SMALL)
    job = Job(
        Training("local", "moved", None, 60), (Settings(0.02, 0.0), Settings(0.1, 0.01)), (0, 1, 2), is_final=True
    )
    whole = study.run(job)
    assert len(study.groups(job)) == 1
    monkeypatch.setattr("whyconv.study.trials._MOST_STACK_BYTES", 1)
    assert len(study.groups(job)) == 6
    cut = study.run(job)
    assert [one[-1].test for one in cut.glances] == pytest.approx([one[-1].test for one in whole.glances], abs=0.03)
    assert [glance.step for glance in cut.glances[0]] == checkpoints(SMALL.steps, SMALL.checkpoints)


def test_a_rate_that_breaks_a_network_is_the_worst() -> None:
    study = make_study(small_pictures(), SMALL)
    job = Job(Training("dense", "still", None, 60), (Settings(1e30, 0.0),), (0,), is_final=True)
    end = study.run(job).glances[0][-1]
    assert end.kept_loss > 1e6
    assert end.test is not None
    assert end.test <= 0.6


def test_looks_are_spread_along_the_logarithm_and_end_with_the_steps() -> None:
    assert checkpoints(300, 8)[-1] == 300
    assert checkpoints(300, 1) == [300]
    assert checkpoints(2, 8) == [1, 2]
