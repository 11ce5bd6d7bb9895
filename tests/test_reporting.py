"""What the report says of the plan: every entry in words, and the rule behind it, or that it was asked for."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tiny_training import tiny_plan
from whyconv.errors import StoppedError
from whyconv.planning import threads_for
from whyconv.report.page import plan_rows as shown_rows
from whyconv.report.page import speaker
from whyconv.reporting import _kind, counted, layer_rows, num_other_parameters, plan_reasons, plan_rows
from whyconv.settings import Plan, TrainSettings
from whyconv.texts import say
from whyconv.training.recipe import MOST_EPOCHS, Facts, augment_plan, batch_for, training_plan


def material(counts: tuple[int, int] = (40, 40), side: int = 8) -> Any:
    """As much of the pictures as the rules look at."""
    n = sum(counts)
    survey = SimpleNamespace(widths=np.full(n, side), heights=np.full(n, 3), readable=np.ones(n, bool))
    return SimpleNamespace(
        train=SimpleNamespace(data=SimpleNamespace(labels=np.repeat([0, 1], counts))),
        division=SimpleNamespace(
            inspection=SimpleNamespace(survey=survey, pictures=SimpleNamespace(labels=np.zeros(n)))
        ),
        policy=SimpleNamespace(fit="letterbox"),
    )


def ruled(counts: tuple[int, int] = (40, 40), **asked: Any) -> Plan:
    """A plan in which the rules decide what was not asked for."""
    settings = TrainSettings(pictures="bars", **asked)
    plan = tiny_plan(network=settings.network).model_copy(update={"threads": threads_for(8)})
    return plan.model_copy(update={"training": training_plan(settings, Facts(counts, 8, 1))})


DECIDED = {"network", "side", "batch", "epochs", "optimizer", "learning_rate", "balance", "threads"}


def say_it(value: Any, language: str) -> str:
    return value if isinstance(value, str) else say(value.key, language, **value.values)


def asked_for(plan: Plan, **changes: Any) -> dict[str, object]:
    reasons = plan_reasons(plan, material(**changes))
    assert reasons.keys() >= {*DECIDED, "flips"}
    assert {note.key for name, note in reasons.items()} <= {
        "plan_asked",
        "plan_asked_epochs",
        *(f"plan_rule_{name}" for name in reasons),
    }
    return {name: note.values["rule"] for name, note in reasons.items() if note.key.startswith("plan_asked")}


def test_what_the_rules_decided_is_explained_by_the_rules() -> None:
    assert asked_for(ruled()) == {}
    assert asked_for(ruled((60, 20)), counts=(60, 20)) == {}


def test_what_was_asked_for_is_called_so_beside_what_the_rule_gives() -> None:
    asked = {"epochs": 3, "batch": 20, "learning_rate": 0.5, "optimizer": "gd", "network": "lesson"}
    rates = training_plan(TrainSettings(pictures="x", optimizer="gd", batch=20), Facts((40, 40), 8, 1)).learning_rate
    assert asked_for(ruled(**asked)) == {
        "network": "swift", "optimizer": "adam", "epochs": MOST_EPOCHS, "batch": 16, "learning_rate": f"{rates:.4g}",
    }  # fmt: skip
    assert asked_for(ruled(optimizer="momentum")) == {"optimizer": "muon"}
    assert asked_for(ruled(), side=30) == {"side": 30}
    assert asked_for(ruled((60, 20), balance="off"), counts=(60, 20)).keys() == {"balance"}


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_numbers_in_the_sentences_are_those_of_the_rules(language: str) -> None:
    rates = dict(re.findall(r"(gd|momentum|rmsprop|adamw|adam) ([\d.]*\d)", say("plan_rule_learning_rate", language)))
    facts = Facts((40, 40), 8, 1)
    wanted = {name: training_plan(TrainSettings(pictures="x", optimizer=name), facts).learning_rate for name in rates}
    assert {name: float(rate) for name, rate in rates.items()} == pytest.approx(wanted)
    assert len(rates) == 5
    numbers = [int(word.replace(",", "")) for word in re.findall(r"[\d,]*\d", say("plan_rule_batch", language))]
    many = batch_for(10_001), batch_for(10_001, is_on_card=True)
    assert sorted(numbers) == sorted([1000, 10_000, batch_for(1000), batch_for(10_000), *many])
    assert batch_for(1001) == batch_for(10_000)


def clauses_with_numbers(rule: str) -> list[str]:
    """The parts of a rule that give a number; commas inside numbers part nothing."""
    return [part for part in re.split(r"[;,.](?!\d)", rule) if re.search(r"\d", part)]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_rule_of_label_smoothing_is_that_of_the_recipe(language: str) -> None:
    clauses = clauses_with_numbers(say("plan_rule_label_smoothing", language))
    said = [next((name for name in ("lesson", "muon") if name in part), "else") for part in clauses]
    assert said == ["lesson", "muon", "else"]  # the first that holds
    smoothings = dict(zip(said, (float(re.findall(r"[\d.]+", part)[0]) for part in clauses), strict=True))
    for network in ("lesson", "swift", "plain", "resnet18"):
        for optimizer in ("gd", "adam", "adamw", "muon"):
            settings = TrainSettings(pictures="x", network=network, optimizer=optimizer)
            which = next((one for one in ("lesson", "muon") if one in (network, optimizer)), "else")
            assert training_plan(settings, Facts((40, 40), 8, 1)).label_smoothing == smoothings[which]


@pytest.mark.parametrize(("language", "all_of_them", "a_third"), [("en", "all", "a third"), ("ko", "모든", "3분의 1")])
def test_the_rule_of_patience_is_that_of_the_recipe(language: str, all_of_them: str, a_third: str) -> None:
    of_muon, others = re.split(r"[;,] ", say("plan_rule_patience", language), maxsplit=1)
    assert "muon" in of_muon
    assert all_of_them in of_muon
    assert a_third in others
    least = int(re.findall(r"\d+", others)[-1])
    for optimizer in ("gd", "adam", "adamw", "muon"):
        for epochs in (1, 12, 3 * least, 100):
            settings = TrainSettings(pictures="x", optimizer=optimizer, epochs=epochs)
            wanted = epochs if optimizer == "muon" else max(epochs // 3, least)
            assert training_plan(settings, Facts((40, 40), 8, 1)).patience == wanted


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_rule_of_augmentation_names_what_the_recipe_looks_at(language: str) -> None:
    rule = say("plan_rule_augmentation", language)
    assert [word for word in ("lesson", "swift", "realistic") if word not in rule] == []
    (part,) = [part for part in clauses_with_numbers(rule) if "swift" in part]
    many = int(re.findall(r"[\d,]*\d", part)[0].replace(",", ""))

    def cropped(network: str, n: int, side: int = 32) -> bool:
        facts = Facts((n // 2, n - n // 2), side, 3)
        return augment_plan(TrainSettings(pictures="x", network=network), facts, flip=False).min_area < 1

    assert [cropped("swift", n) for n in (many - 1, many)] == [True, False]
    assert cropped("plain", many)
    assert not cropped("swift", many, side=16)
    assert "16" in rule
    colors = [augment_plan(TrainSettings(pictures="x"), Facts((9, 9), side, 3), flip=False).color for side in (16, 17)]
    assert [color == 0 for color in colors] == [True, False]


def test_pictures_that_are_not_varied_are_said_not_to_be() -> None:
    still = {"shift_fraction": 0, "min_area": 1, "max_aspect": 1, "max_degrees": 0, "color": 0}
    plan = ruled()
    assert plan_rows(plan, material())["augmentation"].key == "plan_augmentation"
    plan = plan.model_copy(update={"augment": plan.augment.model_copy(update=still)})
    assert plan_rows(plan, material())["augmentation"].key == "plan_augmentation_none"


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
@pytest.mark.parametrize("optimizer", ["gd", "momentum", "rmsprop", "adam", "adamw", "muon"])
def test_of_values_in_words_none_is_english_in_korean(optimizer: str, fit: str) -> None:
    found = material()
    found.policy.fit = fit
    rows = plan_rows(ruled(optimizer=optimizer), found)
    told = {language: [say_it(rows[name], language) for name in ("fit", "formula")] for language in ("en", "ko")}
    assert re.search(r"[가-힣]", told["ko"][0])
    # Of a formula, names of functions and of the optimizer stay.
    for text in told["ko"]:
        assert set(re.findall(r"[A-Za-z]{3,}", text)) <= {"sqrt", "orthogonal", "adam", "letterbox", "stretch"}
    assert ("kernel" in told["en"][1]) == ("커널" in told["ko"][1]) == (optimizer == "muon")


@pytest.mark.parametrize("key", ["plan_augmentation", "plan_augmentation_cutout"])
def test_of_a_cropped_picture_the_smallest_part_is_said_to_stay(key: str) -> None:
    values = ruled().augment.model_dump() | {"min_area": 0.6}
    (english,) = re.findall(r"[^,]*60\.0 %[^,]*", say(key, "en", **values))
    (korean,) = re.findall(r"[^,]*60\.0 %[^,]*", say(key, "ko", **values))
    assert "no less than 60.0 %" in english
    assert re.search("60\\.0 % 이상을 남", korean)  # kept, not taken away


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("network", ["plain", "lesson", "my.own:network"])
def test_every_entry_has_a_name_and_words_in_the_language_spoken(network: str, language: str) -> None:
    plan, found = ruled(network=network), material()
    content: Any = SimpleNamespace(plan=plan_rows(plan, found), reasons=plan_reasons(plan, found))
    shown = shown_rows(content, speaker(language))
    assert {"schedule", "initialization", "augmentation", "label_smoothing", "average"} <= content.plan.keys()
    assert ("warmup" in content.plan) == (network == "my.own:network")  # lesson and muon have none
    labels = [label for label, _, _ in shown]
    assert len(set(labels)) == len(labels)
    if language == "ko":
        assert [label for label in labels if label.isascii()] == []
    assert not [value for _, value, _ in shown if "plan_" in value or "{" in value]
    assert sum(bool(reason) for _, _, reason in shown) == len(content.reasons)


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.Conv1d(4, 8, 3), "Conv1d 3"),
        (nn.Conv2d(1, 1, (3, 5)), "Conv2d 3x5"),
        (nn.Conv3d(1, 1, 3), "Conv3d 3x3x3"),
        (nn.ConvTranspose1d(1, 1, 2), "ConvTranspose1d 2"),
        (nn.AvgPool1d(2), "AvgPool1d 2"),
        (nn.MaxPool1d(2), "MaxPool1d 2"),
        (nn.MaxPool2d(2), "MaxPool2d 2x2"),
        (nn.AvgPool3d(2), "AvgPool3d 2x2x2"),
        (nn.Unfold(3), "Unfold 3x3"),
        (nn.ReLU(), "ReLU"),
    ],
    ids=str,
)
def test_a_kernel_is_told_along_as_many_axes_as_it_has(module: nn.Module, kind: str) -> None:
    network = nn.Sequential(module).to("meta")
    assert _kind(network[0]) == kind


class Attending(nn.Module):
    """Attention over the rows of a convolution, along one axis, with a parameter of the network itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.along = nn.Conv2d(1, 4, 3, padding=1), nn.Conv1d(4, 4, 3, padding=1)
        self.places = nn.Parameter(torch.zeros(64, 4))
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.along(self.first(x).flatten(2)).transpose(1, 2) + self.places
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))


def test_rows_of_layers_and_the_other_parameters_add_up() -> None:
    network, plan = Attending(), tiny_plan()
    rows = layer_rows(network, plan)
    assert [(row.name, row.num_parameters) for row in rows] == [("first", 40), ("along", 52), ("head", 50)]
    others = num_other_parameters(network, rows)
    assert others == 64 * 4 + (3 * 4 * 4 + 3 * 4) + (4 * 4 + 4)
    shared = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU())
    shared.append(shared[1])
    assert num_other_parameters(shared, layer_rows(shared, plan)) == 0


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_layers_of_torchscript_are_among_the_others_and_said_not_to_be_counted() -> None:
    compiled = torch.jit.script(nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU()))
    network, plan = nn.Sequential(nn.Conv2d(1, 2, 3), compiled, nn.Flatten(), nn.Linear(32, 2)), tiny_plan()
    rows = layer_rows(network, plan)
    assert [row.name for row in rows] == ["0", "2", "3"]
    assert num_other_parameters(network, rows) == 2 * 2 * 9 + 2
    reason = counted(network, plan)["not_counted"]
    assert reason.startswith("The modules of TorchScript cannot be followed: 1 and 2 more of Sequential. Hand over")


class Called(nn.Module):
    """Raises what it is given, the first time or always."""

    def __init__(self, error: BaseException, *, is_once: bool = False) -> None:
        super().__init__()
        self.error, self.is_once, self.num_calls = error, is_once, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.num_calls += 1
        if self.is_once and self.num_calls > 1:
            return x
        try:
            raise self.error
        except BaseException as error:
            raise RuntimeError("of others") from error


@pytest.mark.parametrize("stop", [StoppedError("Stopped.", 143), KeyboardInterrupt()])
@pytest.mark.parametrize("is_once", [True, False])
def test_a_stop_while_the_network_is_counted_stays_a_stop(stop: BaseException, is_once: bool) -> None:
    with pytest.raises(type(stop)):
        counted(Called(stop, is_once=is_once), tiny_plan())


def test_why_a_network_was_not_counted_is_kept_and_said() -> None:
    found = counted(Called(ValueError("a wrong number")), tiny_plan())
    assert set(found) == {"not_counted"}
    assert "of others" in found["not_counted"]
    assert say("report_not_counted", reason=found["not_counted"]).endswith(found["not_counted"])
    assert set(counted(nn.Sequential(nn.Conv2d(1, 2, 3)), tiny_plan())) == {"network"}
