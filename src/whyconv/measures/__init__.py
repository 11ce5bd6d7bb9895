"""Any torch network in, records out: what it computes, read from one call of it."""

from whyconv.measures.trace import trace

__all__ = ["trace"]
