"""Damage to files: a mutant is a function of the files, a seed and a number, the same on every machine."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from mutations_by_format import MUTATIONS, extreme
from whyconv.errors import PictureError
from whyconv.images.formats import sniff

Mutation = Callable[[bytes, random.Random], bytes]

_HEAD_BYTES = 64
_LONGEST_RUN = 64


def mutant(files: Sequence[bytes], seed: int, number: int) -> bytes:
    """One of ``files`` damaged once to three times; half of the damage knows the format, a tenth joins two files."""
    generator = random.Random(f"{seed} {number}")
    content = generator.choice(files)
    for _ in range(generator.choice((1, 1, 1, 2, 3))):
        if generator.random() < 0.1:
            content = _spliced(content, generator.choice(files), generator)
        elif generator.random() < 0.5 and (known := MUTATIONS.get(_format(content))):
            content = generator.choice(known)(content, generator)
        else:
            content = generator.choice(_ANY)(content, generator)
    return content


def _format(content: bytes) -> str:
    try:
        return sniff(content)
    except PictureError:
        return ""


def _place(content: bytes, generator: random.Random) -> int:
    """Somewhere in the file, half of the time in its head."""
    end = min(len(content), _HEAD_BYTES) if generator.random() < 0.5 else len(content)
    return generator.randrange(end) if end else 0


def _flip_bits(content: bytes, generator: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(2 ** generator.randrange(6) if content else 0):
        damaged[_place(content, generator)] ^= 1 << generator.randrange(8)
    return bytes(damaged)


def _overwrite(content: bytes, generator: random.Random) -> bytes:
    place, length = _place(content, generator), generator.randint(1, _LONGEST_RUN)
    run = generator.choice((bytes(length), b"\xff" * length, generator.randbytes(length)))
    return content[:place] + run + content[place + length :]


def _remove(content: bytes, generator: random.Random) -> bytes:
    place = _place(content, generator)
    return content[:place] + content[place + generator.randint(1, _LONGEST_RUN) :]


def _insert(content: bytes, generator: random.Random) -> bytes:
    place, length = _place(content, generator), generator.randint(1, _LONGEST_RUN)
    return content[:place] + generator.randbytes(length) + content[place:]


def _repeat(content: bytes, generator: random.Random) -> bytes:
    place = _place(content, generator)
    run = content[place : place + generator.randint(1, _LONGEST_RUN)]
    return content[:place] + run * generator.choice((2, 3, 300)) + content[place + len(run) :]


def _cut_short(content: bytes, generator: random.Random) -> bytes:
    return content[: _place(content, generator)]


def _append(content: bytes, generator: random.Random) -> bytes:
    return content + generator.randbytes(generator.randint(1, 1000))


def _put_number(content: bytes, generator: random.Random) -> bytes:
    """A number at the edge of what its bytes hold, anywhere."""
    place, width = _place(content, generator), generator.choice((1, 2, 4))
    order: str = generator.choice(("little", "big"))
    number = extreme(generator, 8 * width)
    return content[:place] + number.to_bytes(width, "big" if order == "big" else "little") + content[place + width :]


def _spliced(content: bytes, other: bytes, generator: random.Random) -> bytes:
    return content[: _place(content, generator)] + other[_place(other, generator) :]


_ANY: tuple[Mutation, ...] = (
    *(_flip_bits, _flip_bits, _overwrite, _remove, _insert, _repeat, _cut_short, _append, _put_number, _put_number),
)
