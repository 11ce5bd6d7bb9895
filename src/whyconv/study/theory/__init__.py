"""What is known about locality and sharing, found again by the study's own means."""

from whyconv.study.theory.selftest import LADDER, Sizes, num_steps, run_theory, sizes_for

__all__ = ["LADDER", "Sizes", "num_steps", "run_theory", "sizes_for"]
