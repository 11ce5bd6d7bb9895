"""What a network connects and shares, counted exactly, and proved on one of its layers.

python examples/03_count_a_network.py
"""

from __future__ import annotations

from torch import nn

import whyconv
from whyconv.measures.verify import verify

network = nn.Sequential(
    nn.Conv2d(3, 6, kernel_size=5),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(6 * 14 * 14, 10),
)
report = whyconv.inspect(network, (3, 32, 32))
print(report)

convolution = report.layers[0]
print(f"\nlocality {convolution.locality_factor:g} x sharing {convolution.sharing_factor:g}")
print(verify(network[0], (3, 32, 32)))
