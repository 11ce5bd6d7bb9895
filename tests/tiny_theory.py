"""The self-test on theory, small enough for a test: about 4 seconds on two cores, and as small as can be."""

from __future__ import annotations

from whyconv.study.theory import Sizes
from whyconv.study.theory.bits import BitsSize
from whyconv.study.theory.border_networks import BordersSize
from whyconv.study.theory.energy import EnergySize
from whyconv.study.theory.signal import SignalSize

TINY = Sizes(
    0.1,
    SignalSize(sizes=(32, 128, 512), num_seeds=3, learning_rates=(0.3,), steps=150),
    EnergySize(side=6, few=200, many=200, num_seeds=3, learning_rates=(0.03,), steps=200),
    BitsSize(bits=20, row=4, units=8, num_seeds=3, learning_rates=(0.12,), steps=250),
    BordersSize(n_train=400, epochs=6, num_seeds=2, learning_rates=(0.01,), num_validation=50, num_test=200),
)
LEAST = Sizes(
    0.1,
    SignalSize(sizes=(8,), num_seeds=2, learning_rates=(0.1,), steps=2),
    EnergySize(few=8, many=16, num_seeds=2, learning_rates=(0.1,), steps=2),
    BitsSize(bits=6, row=2, num_seeds=2, learning_rates=(0.1,), steps=2),
    BordersSize(n_train=50, epochs=1, num_seeds=2, num_validation=10, num_test=10),
)
