"""What a decoder complains about, in plain words."""

from __future__ import annotations

_NAMES = {"jpeg2000": "JPEG 2000", "webp": "WebP"}


def say_format(name: str) -> str:
    """Returns a format's name as people write it: "JPEG", "WebP"."""
    return _NAMES.get(name, name.upper())


def explain(error: BaseException, format_name: str) -> str:
    """Returns the reason for people why a picture cannot be read; no class names, no addresses.

    Args:
        error: What the decoder raised.
        format_name: The file's format, by content.
    """
    title = say_format(format_name)
    text = str(error).lower()
    if isinstance(error, MemoryError):
        return f"damaged or hostile: this {title} asks for more memory than its size allows"
    if isinstance(error, EOFError) or any(word in text for word in ("truncated", "not enough", "premature")):
        return f"cut short: the {title} ends before its pixels do"
    if "text chunk" in text or "too large for" in text or "text memory" in text:
        return f"hostile: a note inside this {title} unpacks to more than is reasonable"
    if "compression" in text or "unknown" in text or "unsupported" in text or "not supported" in text:
        return f"a kind of {title} that is not supported (or damaged)"
    if format_name == "tiff":
        return "damaged, or compressed in a way that is not supported: the TIFF cannot be decoded"
    return f"damaged: the {title} cannot be decoded"
