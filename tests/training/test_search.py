"""The search over settings: what is drawn, who goes on, and when another than the usual one is chosen."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from torch import Tensor

from tiny_training import bars, tiny_plan
from whyconv.results import Event, Note, Progress, Search, SearchTrial, Setting
from whyconv.settings import Plan
from whyconv.training import search as searching
from whyconv.training.intervals import fraction
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.search import (
    MOST_SETTINGS,
    Contest,
    draw_settings,
    search,
    setting_of,
    settings_that_fit,
    with_setting,
)

NOTHING = LabelledPixels(np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, np.int32))


def plan_for(**training: object) -> Plan:
    plan = tiny_plan()
    network = plan.network.model_copy(update={"name": "swift", "widths": [32, 128]})
    recipe = plan.training.model_copy(update=training)
    return plan.model_copy(update={"network": network, "training": recipe})


def test_as_many_settings_as_their_trainings_fit() -> None:
    # 10 + 20 / 2 + 40 / 4 epochs a setting, at a second each, and the mean one costs 1.3 times the usual one.
    per_setting = 1.3 * 30
    found = [settings_that_fit(80, 1.0, times * per_setting) for times in (3.9, 4.1, 7.9, 8.1, 1e6)]
    assert found == [0, 4, 7, 8, MOST_SETTINGS]


def test_settings_lie_around_the_usual_one_and_cost_no_more_than_allowed() -> None:
    plan = plan_for(optimizer="adamw", learning_rate=0.01, weight_decay=0.5)
    drawn = draw_settings(plan, 200, most_cost=1.2)
    assert drawn[0] == setting_of(plan)
    for each in drawn:
        assert 1 / 4 <= each.learning_rate / 0.01 <= 4
        assert 1 / 4 <= each.weight_decay / 0.5 <= 4
        assert each.filter_size in {3, 5}
        # (0.75 x 5 / 3)^2 = 1.56, so that filters of 5 pixels are only had at half of the width.
        assert each.filter_size == 3 or each.widths == [16, 64]
        assert all(width % 8 == 0 for width in each.widths)
    assert {tuple(each.widths) for each in drawn} == {(16, 64), (24, 96), (32, 128)}
    assert draw_settings(plan, 200, most_cost=1.2) == drawn
    rates = np.log([each.learning_rate / 0.01 for each in drawn[1:]])
    assert abs(rates.mean()) < 4 * math.log(4) / math.sqrt(3 * len(rates))  # uniform around 0, four deviations


def test_what_is_asked_for_or_has_no_meaning_is_not_searched_over() -> None:
    plan = plan_for(optimizer="muon", learning_rate=0.02, weight_decay=0.0)
    drawn = draw_settings(plan, 50, most_cost=3.0, is_rate_open=False)
    assert {each.learning_rate for each in drawn} == {0.02}
    assert {each.weight_decay for each in drawn} == {0.0}
    own = plan.model_copy(update={"network": plan.network.model_copy(update={"name": "plain", "widths": []})})
    assert {(*each.widths, each.filter_size) for each in draw_settings(own, 20, most_cost=3.0)} == {(3,)}


def test_a_setting_put_in_moves_what_is_no_kernel_too() -> None:
    plan = plan_for(learning_rate=0.02, other_learning_rate=0.004)
    setting = Setting(learning_rate=0.04, weight_decay=0.1, widths=[16, 64], filter_size=5)
    changed = with_setting(plan, setting)
    assert setting_of(changed) == setting
    assert changed.training.other_learning_rate == pytest.approx(0.008)
    assert with_setting(plan, setting_of(plan)) == plan


class Known(Contest):
    """A contest whose results are known: J of a setting is the filter size, give or take what a picture adds."""

    noise = 0.0
    seed = 0
    pause_in = (0, 0.0)

    def enter(self, number: int, setting: Setting, turn: int) -> tuple[Tensor, SearchTrial]:
        if turn == self.pause_in[0]:
            time.sleep(self.pause_in[1])
        random = np.random.default_rng([number, self.seed])
        losses = torch.tensor(setting.filter_size + self.noise * random.normal(size=100))
        row = SearchTrial(
            number=number,
            round=turn,
            epochs=turn,
            setting=setting,
            loss=float(losses.mean()),
            accuracy=fraction(50, 100),
            seconds=0.0,
            is_kept=False,
        )
        return losses, row


def contest(noise: float = 0.0, pause_in: tuple[int, float] = (0, 0.0), seed: int = 0) -> Known:
    known = Known(plan_for(), NOTHING, NOTHING, epochs=8)
    object.__setattr__(known, "noise", noise)
    object.__setattr__(known, "seed", seed)
    object.__setattr__(known, "pause_in", pause_in)
    return known


def numbered(*sizes: int) -> list[Setting]:
    return [Setting(learning_rate=0.1, weight_decay=0.0, widths=[8], filter_size=size) for size in sizes]


def run(known: Known, settings: list[Setting], seconds: float = math.inf):
    events: list[Event] = []
    found = search(known, settings, deadline=time.perf_counter() + seconds, notify=events.append)
    return found, [each.key for each in events if isinstance(each, Note)], events


def test_the_better_half_goes_on_and_the_best_is_chosen() -> None:
    found, keys, events = run(contest(), numbered(9, 8, 3, 7, 6, 2, 5, 4))
    assert (found.chosen, found.gain, keys) == (5, 7.0, ["search_chosen"])
    going = [{row.number for row in found.trials if row.round == turn} for turn in (1, 2, 3)]
    # The usual one, worst of all, is in every round.
    assert going == [set(range(8)), {0, 2, 5, 6, 7}, {0, 2, 5}]
    assert [row.number for row in found.trials if row.round == 3 and row.is_kept] == [5]
    assert {row.number for row in found.trials if row.round == 1 and row.is_kept} == going[1]
    assert isinstance(events[-2], Progress)
    assert events[-2].done == events[-2].total


def test_the_usual_setting_stays_where_another_is_better_by_luck() -> None:
    by_luck = 0
    for seed in range(20):
        found, keys, _ = run(contest(noise=1.0, seed=seed), numbered(3, 3, 3, 3))
        assert found.gain < 4 * found.gain_error
        by_luck += 0 < found.gain <= found.gain_error
        assert (found.chosen == 0) == (found.gain <= found.gain_error) == (keys == ["search_usual"])
    assert by_luck >= 5
    assert run(contest(), numbered(3, 3, 3, 3))[0].chosen == 0
    assert run(contest(), numbered(2, 3, 4, 5))[0].chosen == 0


def test_a_round_that_is_not_done_in_time_does_not_count() -> None:
    found, _, _ = run(contest(pause_in=(2, 0.3)), numbered(9, 8, 3, 7), seconds=0.2)
    assert {row.round for row in found.trials} == {1}
    assert found.chosen == 2
    assert [row.number for row in found.trials if row.is_kept] == [2]
    found, keys, _ = run(contest(pause_in=(1, 0.1)), numbered(9, 8, 3, 7), seconds=0.05)
    assert (found.trials, found.chosen, keys) == ([], 0, ["search_none"])


def test_a_setting_that_diverges_loses_and_ends_nothing() -> None:
    data = bars(40)
    contest = Contest(tiny_plan(learning_rate=0.005), data, data, epochs=8)
    settings = [
        Setting(learning_rate=rate, weight_decay=0.0, widths=[], filter_size=3) for rate in (0.005, 1e30, 0.004, 0.006)
    ]
    found, _, _ = run(contest, settings)
    row = next(each for each in found.trials if each.number == 1)
    assert (row.loss, row.accuracy, row.is_kept) == (None, None, False)
    assert found.chosen != 1
    assert Search.model_validate_json(found.model_dump_json()) == found
    # Where the usual one diverges, the best other one is taken, and nothing is said of how much it gains.
    found, keys, _ = run(contest, [settings[1], *settings[2:]])
    assert found.chosen in {1, 2}
    assert (found.gain, found.gain_error, keys) == (None, None, ["search_diverged"])
    found, keys, _ = run(contest, [settings[1], settings[1]])
    assert (found.chosen, found.gain, keys) == (0, None, ["search_none"])


def test_short_trainings_take_the_larger_steps_that_the_rule_has_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_for(optimizer="muon", learning_rate=0.03, batch=16, epochs=200)
    data = bars(64, side=8)
    carried_out: list[Plan] = []
    monkeypatch.setattr(searching, "train_network", lambda _network, _train, _none, tried: carried_out.append(tried))
    contest = Contest(plan, data, data, epochs=200)
    for turn in (1, 2, 3):
        contest.enter(1, setting_of(plan), turn)
    # 4 steps an epoch: 100, 200 and 400 of them, and 800 in the plan, for which the rate is the rule's at its least.
    assert [each.training.epochs for each in carried_out] == [25, 50, 100]
    rates = [each.training.learning_rate for each in carried_out]
    assert rates == pytest.approx([0.03 * (800 / steps) ** 0.5 for steps in (100, 200, 400)])
    by_adam = Contest(plan_for(optimizer="adamw", learning_rate=0.03, batch=16, epochs=200), data, data, epochs=200)
    by_adam.enter(1, setting_of(by_adam.plan), 1)
    assert carried_out[-1].training.learning_rate == 0.03


def test_epochs_double_from_round_to_round() -> None:
    assert [searching._epochs_of(turn, 80) for turn in (1, 2, 3)] == [10, 20, 40]
    assert [searching._epochs_of(turn, 3) for turn in (1, 2, 3)] == [1, 1, 2]
