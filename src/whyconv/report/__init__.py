"""Results -> one self-contained HTML file, and a model card."""

from whyconv.report.card import write_card
from whyconv.report.content import LayerRow, MistakenPicture, ReportContent, SeenPicture
from whyconv.report.page import write_report

__all__ = ["LayerRow", "MistakenPicture", "ReportContent", "SeenPicture", "write_card", "write_report"]
