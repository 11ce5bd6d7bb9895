"""What an export wrote and proved, as lines."""

from __future__ import annotations

from whyconv.results.export import ExportReport, ResizeDifference
from whyconv.show.text import printable, wrap
from whyconv.texts import as_typed, say, size


def export_lines(report: ExportReport, language: str) -> list[str]:
    """Returns what was proved, where the file is, and how it is used."""
    path = printable(as_typed(report.path))
    part = say(f"export_part_{report.pictures}", language)
    parity = report.parity
    lines = wrap(
        say(
            "export_proof_torch" if report.against == "torch" else "export_proof_file",
            language,
            part=part,
            n=parity.n,
            same=parity.num_same_answer,
            difference=parity.largest_difference,
        ),
        "",
    )
    lines += wrap(say("export_batches", language, sizes=", ".join(map(str, report.batches))), "")
    if report.num_folded:
        lines.append(say("export_folded", language, n=report.num_folded))
    if report.resize is not None:
        lines += _resize_lines(report.resize, language)
    lines.append(say("export_written", language, path=path, size=size(report.num_bytes)))
    if report.kind == "torch":
        return [*lines, say("export_use_torch", language, path=printable(report.path))]
    return [*lines, say("export_use_onnx", language, path=path)]


def _resize_lines(resize: ResizeDifference, language: str) -> list[str]:
    values = {
        "n": resize.n,
        "same": resize.num_same_answer,
        "difference": resize.largest_difference,
        "mean": resize.mean_levels,
        "largest": resize.largest_levels,
    }
    rounding = {"largest": resize.largest_rounding, "percent": 100 * resize.differing_fraction}
    return [
        *wrap(say("export_sizes", language), ""),
        *wrap(say("export_rounding", language, **rounding), "  "),
        *wrap(say("export_resize", language, **values), "  "),
    ]
