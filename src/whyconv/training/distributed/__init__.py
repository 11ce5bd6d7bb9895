"""One training in several processes, each on its share of every batch; a launcher such as torchrun starts them."""

from whyconv.training.distributed.group import ALONE, Group, joined
from whyconv.training.distributed.launch import Launch, launched

__all__ = ["ALONE", "Group", "Launch", "joined", "launched"]
