"""The verb that stays: serve. It needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyconv import texts
from whyconv.cli.options import Lang
from whyconv.cli.terminal import print_json, print_text
from whyconv.errors import needing_extra

if TYPE_CHECKING:
    from whyconv.web import Ready


def serve(  # noqa: PLR0913, PLR0917
    model: Annotated[Path, typer.Argument(metavar="RUN|FILE.onnx", help="A run folder or an exported file.")],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    token: Annotated[
        str | None, typer.Option(metavar="TEXT", help="That requests must bring; made for other addresses.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="Another name by which the server may be called.")
    ] = None,
    max_body: Annotated[int, typer.Option(min=1000, metavar="BYTES", help="Of one request.")] = 10_000_000,
    max_pixels: Annotated[int, typer.Option(min=1, metavar="N", help="Of one picture.")] = 40_000_000,
    max_waiting: Annotated[int, typer.Option(min=1, metavar="N", help="Pictures in work; more are refused.")] = 64,
    timeout: Annotated[float, typer.Option(min=0.5, metavar="SECONDS", help="For the head of a request.")] = 10.0,
    leave: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="After SIGTERM, let callers in so long with /readyz at 503.")
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout when ready.")] = False,
    lang: Lang = None,
) -> None:
    """Open the recognizer to browsers and programs.

    A page where pictures are dropped and the network looked into, and an HTTP interface (/openapi.json).
    Listens on this machine alone; any other address demands a token. Ctrl-C or SIGTERM ends it in good order.
    """
    with needing_extra("Serving", "serve"):
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    from whyconv.doctor import OF_SERVING, require_safe

    require_safe(OF_SERVING, "Serving")
    from whyconv.web import Address, Limits
    from whyconv.web import serve as serve_model

    language = texts.language(lang)
    limits = Limits(
        max_body=max_body,
        max_pixels=max_pixels,
        max_waiting=max_waiting,
        header_seconds=timeout,
        body_seconds=3 * timeout,
        write_seconds=3 * timeout,
        leave_seconds=leave,
    )

    def say_ready(ready: Ready) -> None:
        print_text(
            [
                texts.say("serve_ready", language, url=ready.url),
                texts.say("serve_how", language, sessions=ready.sessions, threads=ready.threads, rate=ready.rate),
            ]
        )
        if as_json:
            print_json(json.dumps(ready.told()), flush=True)

    serve_model(model, Address(host, port, token, tuple(name or ())), limits, say_ready)
    print_text([texts.say("serve_stopped", language)])
