"""A recognizer behind HTTP: the interface for programs, and the page for people. No torch."""

from whyconv.web.limits import Limits
from whyconv.web.serving import Address, Ready, serve

__all__ = ["Address", "Limits", "Ready", "serve"]
