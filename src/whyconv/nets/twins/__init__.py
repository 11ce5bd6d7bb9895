"""A network's twins: the same units without sharing, without locality, or without both; and how they start afresh."""

from whyconv.nets.twins.dense import dense_twin
from whyconv.nets.twins.local import local_twin
from whyconv.nets.twins.matched import MatchedPerceptron
from whyconv.nets.twins.restarting import restart
from whyconv.nets.twins.shared_global import shared_global_twin

__all__ = ["MatchedPerceptron", "dense_twin", "local_twin", "restart", "shared_global_twin"]
