"""Results -> one self-contained HTML file, and a model card."""

from whyconv.report.content import LayerRow, MistakenPicture, ReportContent, SeenPicture

__all__ = ["LayerRow", "MistakenPicture", "ReportContent", "SeenPicture"]
