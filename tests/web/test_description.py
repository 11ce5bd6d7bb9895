"""The interface is what /openapi.json says, also for requests that nobody would write by hand."""

from __future__ import annotations

import re

import pytest

from http_server import Server
from whyconv.web.application import _GET, _POST


def test_every_route_is_described(server: Server) -> None:
    paths = server.ask("/openapi.json").json["paths"]
    assert {path for path, one in paths.items() if "get" in one} == set(_GET)
    assert {path for path, one in paths.items() if "post" in one} == set(_POST)


def test_requests_made_from_the_description_get_the_answers_it_promises(run_server: Server) -> None:
    import hypothesis
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
        unsupported_method,
    )

    address = f"http://127.0.0.1:{run_server.port}"
    schema = schemathesis.openapi.from_dict(run_server.ask("/openapi.json").json)
    checks = [
        *(not_a_server_error, status_code_conformance, content_type_conformance),
        *(response_schema_conformance, unsupported_method),
    ]
    num_asked = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(max_examples=5, deadline=None, derandomize=True, database=None)
        def ask(case: schemathesis.Case) -> None:
            nonlocal num_asked
            num_asked += 1
            case.call_and_validate(base_url=address, checks=checks)

        ask()
    assert num_asked > 50


def test_the_counters_are_what_prometheus_reads(server: Server, colors: dict[str, bytes]) -> None:
    server.predict(*colors.values())
    reply = server.ask("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = reply.body.decode().splitlines()
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.]+')
    assert [line for line in lines if not line.startswith("# ") and not sample.fullmatch(line)] == []
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert int(values['whyconv_requests_total{route="/v1/predict",status="200"}']) >= 1
    assert int(values['whyconv_pictures_total{outcome="answered"}']) >= 3
    buckets = [int(v) for k, v in values.items() if k.startswith('whyconv_request_seconds_bucket{route="/v1/predict"')]
    assert buckets == sorted(buckets)
    assert buckets[-1] == int(values['whyconv_request_seconds_count{route="/v1/predict"}'])


def test_health(server: Server) -> None:
    assert server.ask("/livez").json == {"status": "ok"}
    assert server.ask("/readyz").json["status"] == "ok"


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_gets_its_sentences(server: Server, language: str) -> None:
    from whyconv.texts import sentences

    found = server.ask(f"/v1/texts?lang={language}").json
    assert found == {key: one[language] for key, one in sentences().items() if key.startswith("page_")}
