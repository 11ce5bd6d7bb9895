"""A certificate as lines."""

from __future__ import annotations

from whyconv.results.certificate import Certificate
from whyconv.show.text import interval, printable, wrap
from whyconv.texts import say


def certificate_lines(certificate: Certificate, language: str, network: str) -> list[str]:
    """Returns what the graph promises, what was tried and seen after training, and what it does not mean.

    Args:
        certificate: What to show.
        language: "en" or "ko".
        network: What it is called.
    """
    asked = certificate.protocol
    head = say(
        "certificate_head",
        language,
        layer=printable(network),
        choices=certificate.num_choices,
        stride=certificate.stride,
    )
    tried = say("certificate_tried", language, every=asked.n_every, shifts=asked.num_shifts, one=asked.n_one)
    lines = [head, tried, _certified(certificate, language)]
    if certificate.n_counted:
        values = {"n": certificate.n_counted, "changed": certificate.num_changed_counted, "delta": asked.delta}
        lines.append(say("certificate_counted", language, change=certificate.largest_change_counted, **values))
    if not certificate.is_held:
        lines.append(say("certificate_broken", language))
    if certificate.accuracy is not None:
        found = certificate.accuracy
        lines.append(say("certificate_accuracy", language, value=interval(found), n=found.n))
    lines.append(say("certificate_control", language))
    first = say("certificate_of_run", language)
    return [*wrap(first, ""), *(line for each in lines for line in wrap(each, "  "))]


def _certified(certificate: Certificate, language: str) -> str:
    if certificate.largest_change is None:
        return say("certificate_none", language)
    return say(
        "certificate_certified",
        language,
        n=certificate.n_certified,
        change=certificate.largest_change,
        tolerance=certificate.protocol.tolerance,
        changed=certificate.num_changed,
    )
