"""A run becomes a file for other programs, and proves first that it answers as the trained network does."""

from whyconv.exporting.one_run import export_run
from whyconv.exporting.torch_folder import open_torch

__all__ = ["export_run", "open_torch"]
