"""What was read of a set of pictures, in a form that tests can spell out."""

from __future__ import annotations

from whyconv.images.sources import PART_NAMES, Pictures


def described(pictures: Pictures) -> dict[str, tuple[str | None, str]]:
    """Returns {name: (class or None, part)}."""
    return {
        name: (pictures.classes[label] if label >= 0 else None, PART_NAMES[part])
        for name, label, part in zip(pictures.names, pictures.labels, pictures.parts, strict=True)
    }
