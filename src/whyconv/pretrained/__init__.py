"""Starting from a network that has learned before: its features, a head on them, its last blocks tuned."""

from whyconv.pretrained.choosing import check_start, choose_start
from whyconv.pretrained.joining import upright_alone
from whyconv.pretrained.learning import Learned
from whyconv.pretrained.starting import FrozenStart, open_start, open_start_of

__all__ = ["FrozenStart", "Learned", "check_start", "choose_start", "open_start", "open_start_of", "upright_alone"]
