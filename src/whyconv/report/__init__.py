"""Results -> one self-contained HTML file, and a model card."""

from whyconv.report.card import write_card
from whyconv.report.content import LayerRow, MistakenPicture, ReportContent, SeenPicture, SuspectPicture
from whyconv.report.page import write_report
from whyconv.report.why import atlas_section, lacks_why, page_language, why_section, with_atlas, with_why
from whyconv.report.why_network import Patches

__all__ = [
    "LayerRow",
    "MistakenPicture",
    "Patches",
    "ReportContent",
    "SeenPicture",
    "SuspectPicture",
    "atlas_section",
    "lacks_why",
    "page_language",
    "why_section",
    "with_atlas",
    "with_why",
    "write_card",
    "write_report",
]
