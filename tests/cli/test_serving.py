"""`whyconv serve` on the command line: what it says, and what it refuses."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from command_line import Outcome
from http_server import serving


def test_the_address_is_one_line_for_people_and_one_object_for_programs(model: Path) -> None:
    with serving(model, "--lang", "ko") as server:
        assert server.ready["url"] == f"http://127.0.0.1:{server.port}/"
        assert server.ready["token"] is None
        assert server.ask("/v1/recognizer").json["name"] == model.stem
        assert server.process.stderr is not None
        assert server.process.stderr.readline() == f"열기:  {server.ready['url']}\n"


def test_an_address_that_is_taken_is_wrong_use(run: Callable[..., Outcome], model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = run("serve", model, "--port", taken.getsockname()[1])
    assert outcome.code == 2
    assert "cannot be listened on" in outcome.text


def test_a_host_that_is_no_name_is_wrong_use(run: Callable[..., Outcome], model: Path) -> None:
    outcome = run("serve", model, "--host", "a..b", "--port", 0)
    assert outcome.code == 2
    assert "a..b port 0 cannot be listened on" in outcome.text


def test_a_model_that_is_not_there_is_said(run: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = run("serve", tmp_path / "none.onnx")
    assert outcome.code == 1
    assert outcome.text.startswith("Error: There is no ")
