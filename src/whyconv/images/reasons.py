"""What a decoder complains about, in plain words."""

from __future__ import annotations

_NAMES = {"jpeg2000": "JPEG 2000", "webp": "WebP"}
_CUT_SHORT = "cut short: the {} ends before its pixels do"
# Words in a decoder's complaint -> the reason; the first that fits.
_REASONS = (
    (("truncated", "not enough", "premature"), _CUT_SHORT),
    (
        ("text chunk", "too large for png", "text memory"),
        "hostile: a note inside this {} unpacks to more than is reasonable",
    ),
    (
        ("compression", "unknown", "unsupported", "not supported"),
        "a kind of {} that is not supported (or damaged)",
    ),
)


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
    if isinstance(error, EOFError):
        return _CUT_SHORT.format(title)
    for words, reason in _REASONS:
        if any(word in text for word in words):
            return reason.format(title)
    if format_name == "tiff":
        return "damaged, or compressed in a way that is not supported: the TIFF cannot be decoded"
    return f"damaged: the {title} cannot be decoded"
