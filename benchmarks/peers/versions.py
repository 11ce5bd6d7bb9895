"""Versions of packages in this environment."""

from __future__ import annotations

import platform
from importlib.metadata import version


def versions(*packages: str) -> dict[str, str]:
    """Returns Python's version and those of ``packages``."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
