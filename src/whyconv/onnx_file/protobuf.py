"""Messages as protobuf encodes them, walked over and written without a package.

References:
    The encoding: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

_ALL_BITS = (1 << 64) - 1


def message_fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yields (field number, value) of one protobuf message; fixed-size numbers come as their bytes.

    Raises:
        ValueError: The message is damaged.
        IndexError: It ends too early.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire_type == 2:
            size, place = _varint(message, place)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if number == 0 or place + size > len(message):
            raise ValueError("field runs over the end")
        yield number, message[place : place + size]
        place += size


def as_message(value: int | memoryview) -> memoryview:
    """Returns the value of a field that has to hold a message, bytes or text.

    Raises:
        ValueError: It is a number.
    """
    if isinstance(value, int):
        raise ValueError("a number where a message was expected")
    return value


def as_text(value: int | memoryview) -> str:
    """Returns the value of a field that has to hold text.

    Raises:
        ValueError: It is a number, or no UTF-8.
    """
    return bytes(as_message(value)).decode()


def as_integer(value: int | memoryview) -> int:
    """Returns the value of a field that has to hold a signed number of 64 bits.

    Raises:
        ValueError: It is a message.
    """
    if not isinstance(value, int):
        raise ValueError("a message where a number was expected")
    value &= _ALL_BITS
    return value - (1 << 64) if value >> 63 else value


def as_integers(value: int | memoryview) -> list[int]:
    """Returns the signed numbers of a field that repeats: one that stands alone, or many that are packed.

    Raises:
        ValueError: A number has more than 10 bytes.
        IndexError: The last one ends too early.
    """
    if isinstance(value, int):
        return [as_integer(value)]
    found, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        found.append(as_integer(number))
    return found


def field_bytes(number: int, content: bytes) -> bytes:
    """Returns a field that holds a message, bytes or text, as it stands in a file.

    Args:
        number: Of the field, from 1.
        content: What it holds.
    """
    return _varint_bytes(number << 3 | 2) + _varint_bytes(len(content)) + content


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Returns the number encoded at ``place`` in groups of 7 bits, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("number of more than 10 bytes")


def _varint_bytes(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])
