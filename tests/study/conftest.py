"""One thread for networks this small: two would mostly wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from whyconv.training.torch_habits import torch_habits


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with torch_habits(1):
        yield
