"""A run that is asked to be invariant: refused before step 1 or certified after the last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiny_training import write_bars
from whyconv import explaining
from whyconv.errors import ParityError, SettingsError, UsageError
from whyconv.report import why_section
from whyconv.results.certificate import Certificate
from whyconv.settings import Plan, TrainSettings
from whyconv.show.runs import run_lines, scored_lines
from whyconv.show.why import detail_lines
from whyconv.study import Extent
from whyconv.training.circular import circular_settings
from whyconv.workflow import evaluate, train, why

QUICK = {"epochs": 2, "batch": 16, "threads": 1, "flips": "off"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bars(tmp_path_factory.mktemp("bars"))


def test_the_run_has_a_certificate_and_says_so(bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = train(str(bars), invariant="circular", out=str(tmp_path), **QUICK)
    run = Path(summary.run)
    found = summary.certificate
    assert found is not None
    assert found == Certificate.model_validate_json((run / "certificate.json").read_bytes())
    assert (summary.network, found.stride, found.protocol.side) == ("plain_circular", 2, (8, 8))
    assert found.protocol.n == found.protocol.n_every == summary.test.n
    assert found.accuracy.value == summary.test.accuracy.value
    assert found.is_held
    assert summary.parity.is_equal
    plan = Plan.read(run / "run.toml")
    assert plan.network.invariant == "circular"
    assert all(not view.startswith("closer") for view in plan.network.views)
    sentence = "Circular moves of the picture change no answer"
    assert sentence in (run / "MODEL_CARD.md").read_text().replace("\\", "")
    assert sentence in " ".join(run_lines(summary, "en"))
    assert json.loads((run / "summary.json").read_text())["certificate"]["num_choices"] == 1
    monkeypatch.setattr(explaining, "QUICK", Extent(1, (0.05, 0.3), steps=2))
    explained = why(run, quick=True)
    assert explained.certificate == found
    assert sentence in why_section(explained, "en")
    told = f"certified: {found.n_certified:,} pictures; probabilities change by"
    for lines in (scored_lines(evaluate(run), "en"), detail_lines(explained, "en")):
        assert told in " ".join(" ".join(lines).split())
        # Names of folders are never cut.
        assert all(len(line) <= 80 or run.name in line for line in lines)


def test_a_run_that_is_not_asked_to_be_has_none_and_its_plan_says_nothing(bars: Path, tmp_path: Path) -> None:
    summary = train(str(bars), network="plain", out=str(tmp_path), only_model=True, **QUICK)
    assert summary.certificate is None
    assert "certif" not in " ".join(scored_lines(evaluate(Path(summary.run)), "en"))
    assert not (Path(summary.run) / "certificate.json").exists()
    assert "invariant" not in (Path(summary.run) / "run.toml").read_text()


def test_sides_that_do_not_fit_are_refused_or_made_to_fit(bars: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="33 is no multiple of 8"):
        train(str(bars), invariant="circular", size=33, out=str(tmp_path), **QUICK)
    assert not any(tmp_path.iterdir())
    asked = TrainSettings(pictures="x", invariant="circular")
    assert circular_settings(asked, 28).size == 32
    assert circular_settings(asked, 8).size == 8
    made = circular_settings(asked.model_copy(update={"start": "scratch", "size": 20}), 28)
    assert (made.size, made.start, made.network) == (20, None, "plain_circular")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"network": "resnet18"}, "no circular form of resnet18"),
        ({"start": "pretrained"}, "--start pretrained brings its own network"),
        ({"invariant": "real"}, "invariant = 'real'"),
    ],
)
def test_what_cannot_be_invariant_is_wrong_use(words: dict[str, str], told: str, bars: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        TrainSettings.of({"pictures": str(bars), "invariant": "circular"} | words)


OWN = """
from torch import nn
from whyconv.nets import PolyphasePool2d, with_circular_borders
def made(num_classes, is_circular):
    layers = (nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), PolyphasePool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
    body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes))
    return with_circular_borders(body) if is_circular else body
def good(num_classes):
    return made(num_classes, True)
def bad(num_classes):
    return made(num_classes, False)
class learned(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1, padding_mode="circular")
        self.second = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")
        self.pool = PolyphasePool2d(2, choice="learned", channels=8, blur_taps=2)
        self.head = nn.Linear(8, num_classes)
    def forward(self, x):
        x = self.first(x).relu()
        y = self.second(x)
        phase = self.pool.choose(y)
        return self.head((self.pool(y, phase) + self.pool(x, phase)).relu().mean(dim=(2, 3)))
"""


def test_a_network_of_ones_own_is_looked_at_before_step_1(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_circular.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    # Tried elsewhere, and an export each.
    monkeypatch.setattr("whyconv.workflow.try_asked", lambda *given: None)
    with pytest.raises(UsageError, match=r"(?s)  0: pads by 1.*\n  3: pads by 1"):
        train(str(bars), invariant="circular", network="own_circular:bad", **QUICK)
    for name in ("good", "learned"):
        summary = train(str(bars), invariant="circular", network=f"own_circular:{name}", only_model=True, **QUICK)
        assert summary.certificate is not None
        # The exported file picks the same phases.
        assert summary.parity.is_equal


def test_a_promise_that_is_broken_is_an_error_after_everything_is_written(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whyconv.measures.certificate.TOLERANCE", -1.0)
    with pytest.raises(ParityError, match="By its graph"):
        train(str(bars), invariant="circular", out=str(tmp_path), **QUICK)
    (run,) = tmp_path.iterdir()
    assert {"certificate.json", "summary.json", "MODEL_CARD.md"} <= {path.name for path in run.iterdir()}
    assert "do not rely on it" in (run / "MODEL_CARD.md").read_text()
