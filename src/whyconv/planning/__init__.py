"""Before step 1: from what was asked and what the pictures are to a plan in which nothing is left open."""

from whyconv.planning.again import accept_changes, material_of, require_agreeing
from whyconv.planning.making import make_plan, threads_for
from whyconv.planning.material import Material, pictures_plan, require_two
from whyconv.planning.streaming import SAMPLE, begin_stream, tell_order
from whyconv.planning.time_left import SLACK, deadline
from whyconv.planning.trial import decide_flip

__all__ = [
    "SAMPLE",
    "SLACK",
    "Material",
    "accept_changes",
    "begin_stream",
    "deadline",
    "decide_flip",
    "make_plan",
    "material_of",
    "pictures_plan",
    "require_agreeing",
    "require_two",
    "tell_order",
    "threads_for",
]
