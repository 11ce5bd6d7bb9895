"""What a file computes is bound: by time and by memory; and graphs that never end are ended."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import strange_graphs
from tiny_model import expected_probabilities, make_metadata, make_model
from whyconv.errors import ModelFileError
from whyconv.onnx_file import running
from whyconv.onnx_file.running import open_session, run_session

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)


def test_a_network_answers_as_ever() -> None:
    session = open_session(make_model(make_metadata()).SerializeToString(), 1, "it")
    (found,) = run_session(session, ["probabilities"], {"pixels": PIXELS}, "it")
    assert np.allclose(found, expected_probabilities(PIXELS), atol=1e-6)


def test_what_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST_SECONDS_A_PICTURE", 0.3)
    session = open_session(strange_graphs.endless().SerializeToString(), 1, "it")
    began = time.monotonic()
    with pytest.raises(
        ModelFileError, match=r"it has not answered about 2 picture\(s\) in 0.6 seconds, and was stopped"
    ):
        run_session(session, None, {"pixels": PIXELS}, "it")
    assert time.monotonic() - began < 5


def test_a_late_one_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = open_session(strange_graphs.endless().SerializeToString(), 1, "it")
    plain = open_session(make_model(make_metadata()).SerializeToString(), 1, "it")
    monkeypatch.setattr(running, "MOST_SECONDS_A_PICTURE", 0.5)
    failed: list[ModelFileError] = []

    def ask() -> None:
        try:
            run_session(endless, None, {"pixels": PIXELS}, "it")
        except ModelFileError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while thread.is_alive():
        run_session(plain, None, {"pixels": PIXELS}, "it")
    thread.join()
    assert len(failed) == 1


@pytest.mark.parametrize("name", ["memory-when-run", "memory-when-opened"])
def test_more_memory_than_there_is_is_refused(name: str) -> None:
    content = dict(strange_graphs.sizes())[name]
    with pytest.raises(ModelFileError, match="it needs more memory than this process may use"):
        run_session(open_session(content, 1, "it"), None, {"pixels": PIXELS}, "it")


def test_an_error_within_is_our_own() -> None:
    session = open_session(make_model(make_metadata()).SerializeToString(), 1, "it")
    with pytest.raises(ModelFileError, match="it fails on pictures of shape 2 x 7 x 8 x 3"):
        run_session(session, None, {"pixels": PIXELS[:, 1:]}, "it")
