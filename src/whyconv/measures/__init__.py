"""What has to run to be known: torch modules in, records out."""

from whyconv.measures.trace import trace

__all__ = ["trace"]
