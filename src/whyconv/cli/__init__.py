"""The command line: words -> calls, and the only part that prints."""

from whyconv.cli.application import app, main

__all__ = ["app", "main"]
