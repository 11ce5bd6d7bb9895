"""What was asked and how it went, in the text format that Prometheus reads.

References:
    https://prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REFUSALS = frozenset({401, 403, 413, 415, 421, 429, 503})


class Metrics:
    """Counters of a server; all of them are changed in its event loop alone."""

    def __init__(self) -> None:
        self.pictures: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts one request.

        Args:
            route: As it stands in the table of routes, never as it was asked for.
            status: Of the answer.
            seconds: From its head to the end of the answer.
        """
        self._requests[route, status] += 1
        counts = self._seconds.setdefault(route, [0] * (len(_BOUNDS) + 1))
        counts[bisect_left(_BOUNDS, seconds)] += 1
        self._sums[route] = self._sums.get(route, 0.0) + seconds

    def text(self, *, waiting: int, connections: int) -> str:
        """All of it.

        Args:
            waiting: Pictures in work now.
            connections: Open now.
        """
        refusals: Counter[int] = Counter()
        for (_, status), number in self._requests.items():
            refusals[status] += number if status in _REFUSALS else 0
        lines = [
            *_family("whyconv_requests_total", "counter", "Requests by route and status."),
            *(
                f'whyconv_requests_total{{route="{r}",status="{s}"}} {n}'
                for (r, s), n in sorted(self._requests.items())
            ),
            *_family("whyconv_refusals_total", "counter", "Requests turned away, by status."),
            *(f'whyconv_refusals_total{{status="{s}"}} {n}' for s, n in sorted(refusals.items()) if n),
            *_family("whyconv_pictures_total", "counter", "Pictures by outcome."),
            *(f'whyconv_pictures_total{{outcome="{o}"}} {n}' for o, n in sorted(self.pictures.items())),
            *_family("whyconv_cut_connections_total", "counter", "Connections ended for being slow, or too many."),
            *(f'whyconv_cut_connections_total{{reason="{r}"}} {n}' for r, n in sorted(self.cut.items())),
            *_family("whyconv_waiting_pictures", "gauge", "Pictures in work."),
            f"whyconv_waiting_pictures {waiting}",
            *_family("whyconv_connections", "gauge", "Open connections."),
            f"whyconv_connections {connections}",
            *_family("whyconv_request_seconds", "histogram", "From a request's head to the end of its answer."),
            *self._histograms(),
        ]
        return "\n".join(lines) + "\n"

    def _histograms(self) -> Iterator[str]:
        for route, counts in sorted(self._seconds.items()):
            total = 0
            for bound, number in zip((*_BOUNDS, "+Inf"), counts, strict=True):
                total += number
                yield f'whyconv_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}'
            yield f'whyconv_request_seconds_sum{{route="{route}"}} {self._sums[route]:.6f}'
            yield f'whyconv_request_seconds_count{{route="{route}"}} {total}'


def _family(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
