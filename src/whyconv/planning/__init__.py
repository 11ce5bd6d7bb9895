"""Before step 1: from what was asked and what the pictures are to a plan in which nothing is left open."""

from whyconv.planning.making import make_plan, threads_for
from whyconv.planning.material import Material, pictures_plan
from whyconv.planning.time_left import SLACK, deadline
from whyconv.planning.trial import decide_flip

__all__ = ["SLACK", "Material", "deadline", "decide_flip", "make_plan", "pictures_plan", "threads_for"]
