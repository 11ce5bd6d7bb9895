"""What was proved on layers, as lines."""

from __future__ import annotations

from collections.abc import Sequence

from whyconv.results.fields import Proof, ProofName, Verification
from whyconv.show.text import printable, table, wrap
from whyconv.texts import say

# In the order in which the lecture tells them: the sentence, and the head of a column.
_PROOFS: dict[ProofName, tuple[str, str]] = {
    "local_twin": ("proof_local_twin", "verify_column_local_twin"),
    "matrix": ("proof_matrix", "verify_column_matrix"),
    "summed_gradient": ("proof_summed_gradient", "verify_column_summed_gradient"),
    "dense_gradient": ("proof_dense_gradient", "verify_column_dense_gradient"),
    "support": ("proof_support", "verify_column_support"),
}
_MOST_NAME = 28


def verification_lines(verifications: Sequence[Verification], language: str) -> list[str]:
    """Returns every proof with its difference: written out for one layer, as a table for several."""
    tried = [one for one in verifications if one.proofs]
    lines = wrap(say("verify_head", language), "")
    if len(verifications) == 1 and tried:
        lines += _one_layer(tried[0], language)
    elif tried:
        lines += _table(tried, language)
    for one in verifications:
        if not one.proofs:
            name = printable(one.name)
            lines += wrap(say("verify_not_tried", language, name=name, reason=printable(one.reason)), "  ")
    return lines


def _one_layer(found: Verification, language: str) -> list[str]:
    lines = []
    for name, (key, _) in _PROOFS.items():
        proof = next(one for one in found.proofs if one.name == name)
        value = _value(proof, found.connections, language)
        lines += table([(value.rjust(9), say(key, language))])
    if not found.is_whole:
        values = {
            "tried_in": found.channels[0],
            "tried_out": found.channels[1],
            "all_in": found.all_channels[0],
            "all_out": found.all_channels[1],
            "tried": " x ".join(map(str, found.tried_shape[1:])),
            "every": " x ".join(map(str, found.input_shape[1:])),
        }
        lines += wrap(say("verify_part", language, **values), "  ")
    reasons = dict.fromkeys(proof.reason for proof in found.proofs if proof.reason)
    return [*lines, *(line for reason in reasons for line in wrap(f"-  {say(reason, language)}", "  "))]


def _table(tried: Sequence[Verification], language: str) -> list[str]:
    head = (say("verify_layer", language), *(say(column, language) for _, column in _PROOFS.values()))
    rows = []
    for one in tried:
        by_name = {proof.name: proof for proof in one.proofs}
        mark = "" if one.is_whole else "*"
        values = (_value(by_name[name], None, language) for name in _PROOFS)
        rows.append((_short(printable(one.name)) + mark, *values))
    lines = table([head, *rows])
    if not all(one.is_whole for one in tried):
        lines += wrap(say("verify_parts", language), "  ")
    legend = [(say(column, language), say(key, language)) for key, column in _PROOFS.values()]
    return [*lines, *table(legend)]


def _value(proof: Proof, connections: int | None, language: str) -> str:
    if proof.difference is None:
        return "-"
    if proof.is_proved is False:
        return say("proof_failed", language, difference=f"{proof.difference:.2g}")
    if proof.name == "support":
        return "=" if connections is None else say("proof_count", language, connections=connections)
    return f"{proof.difference:.1e}" if proof.difference else "0"


def _short(name: str) -> str:
    return name if len(name) <= _MOST_NAME else "..." + name[3 - _MOST_NAME :]
