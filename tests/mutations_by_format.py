"""Damage that keeps a file's outer form, so that it reaches what lies behind the first check."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator

from drawn_pictures import png_chunk

Mutation = Callable[[bytes, random.Random], bytes]
Piece = tuple[bytes, bytes]

_EXTREMES = (0, 1, 2, 3, 7, 8, 9, 16, 255, 256, 257, 1000, 4095, 4096, 8191, 10000, 16383, 16384, 32767, 32768, 65535)
_LARGE = (1 << 20, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 8, (1 << 32) - 1)


def extreme(generator: random.Random, bits: int) -> int:
    """A number where decoders go wrong: small, at the edge of a type, or as large as ``bits`` allow."""
    return generator.choice((*_EXTREMES, *_LARGE, (1 << bits) - 1, generator.getrandbits(bits))) & ((1 << bits) - 1)


def damaged(body: bytes, generator: random.Random) -> bytes:
    """One byte or a few, overwritten; or the end cut off."""
    if not body or generator.random() < 0.1:
        return body[: len(body) // 2]
    place, length = generator.randrange(len(body)), generator.choice((1, 1, 2, 4, 16))
    return body[:place] + generator.randbytes(min(length, len(body) - place)) + body[place + length :]


def with_number(content: bytes, place: int, code: str, generator: random.Random) -> bytes:
    """``content`` with an extreme number of the ``struct`` form ``code`` at ``place``."""
    number = struct.pack(code, extreme(generator, 8 * struct.calcsize(code)))
    return content[:place] + number + content[place + len(number) :]


def _fields(codes: str, *places: int) -> Mutation:
    """Damages a field of a head: one of ``places``, whose ``struct`` forms are ``codes`` with their order first."""

    def damage(content: bytes, generator: random.Random) -> bytes:
        for _ in range(generator.choice((1, 1, 2))):
            index = generator.randrange(len(places))
            content = with_number(content, places[index], codes[0] + codes[1 + index], generator)
        return content

    return damage


def _rearranged(pieces: list[Piece], generator: random.Random) -> list[Piece]:
    """Drops, repeats, swaps or damages a piece."""
    first, second = generator.randrange(len(pieces)), generator.randrange(len(pieces))
    what = generator.randrange(5)
    if what == 0:
        del pieces[first]
    elif what == 1:
        pieces.insert(second, pieces[first])
    elif what == 2:
        pieces[first], pieces[second] = pieces[second], pieces[first]
    else:
        kind, body = pieces[first]
        pieces[first] = (kind, damaged(body, generator))
    return pieces


def _png_pieces(content: bytes) -> list[Piece]:
    pieces, place = [], 8
    while place + 8 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        pieces.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    return pieces


def _as_png(pieces: list[Piece]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*piece) for piece in pieces)


def _png_chunks(content: bytes, generator: random.Random) -> bytes:
    pieces = _png_pieces(content)
    return _as_png(_rearranged(pieces, generator)) if pieces else content


def _png_head(content: bytes, generator: random.Random) -> bytes:
    pieces = _png_pieces(content)
    if not pieces or len(pieces[0][1]) < 13:
        return content
    place, code = generator.choice(((0, ">I"), (4, ">I"), (8, "B"), (9, "B"), (10, "B"), (11, "B"), (12, "B")))
    pieces[0] = (b"IHDR", with_number(pieces[0][1], place, code, generator))
    if place >= 8:  # bits, color type, compression, filter, interlace: few values mean something
        pieces[0] = (b"IHDR", pieces[0][1][:place] + bytes((generator.randrange(17),)) + pieces[0][1][place + 1 :])
    return _as_png(pieces)


def _png_new_chunk(content: bytes, generator: random.Random) -> bytes:
    pieces = _png_pieces(content)
    kind = generator.choice((b"tRNS", b"PLTE", b"gAMA", b"eXIf", b"iCCP", b"zTXt", b"iTXt", b"acTL", b"fcTL", b"fdAT"))
    packed = b"a\0\0" + zlib.compress(bytes(generator.randrange(2_000_000)))
    body = generator.choice((generator.randbytes(generator.randrange(300)), packed, b""))
    pieces.insert(generator.randint(1, max(1, len(pieces))), (kind, body))
    return _as_png(pieces)


def _png_pixels(content: bytes, generator: random.Random) -> bytes:
    """Damages the filtered rows behind the compression."""
    pieces = _png_pieces(content)
    packed = b"".join(body for kind, body in pieces if kind == b"IDAT")
    try:
        rows = zlib.decompress(packed)
    except zlib.error:
        return content
    again = zlib.compress(damaged(rows, generator) * generator.choice((1, 1, 2)))
    kept = [piece for piece in pieces if piece[0] not in (b"IDAT", b"IEND")]
    return _as_png([*kept, (b"IDAT", again), (b"IEND", b"")])


def _jpeg_pieces(content: bytes) -> tuple[list[Piece], bytes]:
    pieces, place = [], 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        pieces.append((content[place : place + 2], content[place + 4 : end]))
        place = end
    return pieces, content[place:]


def _as_jpeg(pieces: list[Piece], scans: bytes) -> bytes:
    heads = (kind + struct.pack(">H", len(body[:65533]) + 2) + body[:65533] for kind, body in pieces)
    return b"\xff\xd8" + b"".join(heads) + scans


def _jpeg_segments(content: bytes, generator: random.Random) -> bytes:
    pieces, scans = _jpeg_pieces(content)
    return _as_jpeg(_rearranged(pieces, generator), scans) if pieces else content


def _jpeg_frame(content: bytes, generator: random.Random) -> bytes:
    """Another process, precision, size, number of components or sampling."""
    pieces, scans = _jpeg_pieces(content)
    for index, (kind, body) in enumerate(pieces):
        if kind[1] in (0xC0, 0xC1, 0xC2) and len(body) > 9:
            if generator.random() < 0.2:
                pieces[index] = (bytes((0xFF, generator.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCA)))), body)
            else:
                place, code = generator.choice(((0, "B"), (1, ">H"), (3, ">H"), (5, "B"), (6, "B"), (7, "B"), (8, "B")))
                pieces[index] = (kind, with_number(body, place, code, generator))
    return _as_jpeg(pieces, scans)


def _jpeg_scans(content: bytes, generator: random.Random) -> bytes:
    """Damages coded pixels, repeats the scans, or puts a marker among them."""
    pieces, scans = _jpeg_pieces(content)
    what = generator.randrange(3)
    if what == 0:
        return _as_jpeg(pieces, damaged(scans, generator))
    if what == 1:
        return _as_jpeg(pieces, scans[:-2] * generator.choice((2, 3, 40)) + scans)
    place = generator.randrange(max(1, len(scans)))
    return _as_jpeg(pieces, scans[:place] + bytes((0xFF, generator.randrange(0xC0, 0x100))) + scans[place:])


def _tiff_entries(content: bytes) -> Iterator[int]:
    order = "<" if content[:2] == b"II" else ">"
    if len(content) < 8 or 43 in content[2:4]:
        return
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    if start + 2 <= len(content):
        (count,) = struct.unpack_from(f"{order}H", content, start)
        yield from (place for place in range(start + 2, start + 2 + 12 * count, 12) if place + 12 <= len(content))


def _tiff_entry(content: bytes, generator: random.Random) -> bytes:
    """Another tag, type, count or value of one entry, or of two that change places."""
    order, places = "<" if content[:2] == b"II" else ">", list(_tiff_entries(content))
    if not places:
        return content
    entry, other = generator.choice(places), generator.choice(places)
    if generator.random() < 0.1:
        swapped = bytearray(content)
        swapped[entry + 2 : entry + 12], swapped[other + 2 : other + 12] = (
            content[other + 2 : other + 12],
            content[entry + 2 : entry + 12],
        )
        return bytes(swapped)
    if generator.random() < 0.2:
        tag = struct.pack(
            f"{order}H", generator.choice((254, 256, 257, 258, 259, 262, 277, 278, 317, 322, 323, 338, 339))
        )
        return content[:entry] + tag + content[entry + 2 :]
    place, code = generator.choice(((2, "H"), (4, "I"), (8, "I"), (8, "H"), (8, "H")))
    return with_number(content, entry + place, order + code, generator)


def _gif_blocks(content: bytes, generator: random.Random) -> bytes:
    """Damages a head, a block's length, or where and how large a frame is."""
    frames = [match.start() for match in re.finditer(b",", content[13:])]
    if frames and generator.random() < 0.6:
        start = 13 + generator.choice(frames[:40])
        place, code = generator.choice(((1, "<H"), (3, "<H"), (5, "<H"), (7, "<H"), (9, "B"), (10, "B"), (11, "B")))
        return with_number(content, start + place, code, generator)
    place, code = generator.choice(((6, "<H"), (8, "<H"), (10, "B"), (11, "B"), (13, "B")))
    return with_number(content, place, code, generator)


def _riff_chunks(content: bytes, generator: random.Random) -> bytes:
    pieces, place = [], 12
    while place + 8 <= len(content):
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        pieces.append((content[place : place + 4], content[place + 8 : place + 8 + length]))
        place += 8 + length + length % 2
    if not pieces:
        return content
    if generator.random() < 0.5:
        return with_number(content, generator.choice((4, 16, 20, 24, 26, 27, 28, 30)), "<I", generator)
    body = b"".join(
        kind + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2)
        for kind, part in _rearranged(pieces, generator)
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


_BOXES = re.compile(rb"ftyp|meta|iloc|iinf|infe|iprp|ipco|ipma|ispe|pixi|av1C|hvcC|auxC|irot|jp2h|ihdr|colr|jp2c|mdat")
_CODE_MARKS = re.compile(rb"\xff[\x51\x52\x53\x5c\x5d\x64\x90\x93]")


def _boxes(content: bytes, generator: random.Random) -> bytes:
    """Damages a box's length or the first fields behind its name; in JPEG 2000 also those of a marker."""
    marks = [match.start() for match in (*_BOXES.finditer(content), *_CODE_MARKS.finditer(content))]
    if not marks:
        return content
    place = generator.choice(marks) + generator.choice((-4, 4, 8, 12, 16, 2, 6, 10, 14, 20, 24))
    return with_number(content, max(0, place), generator.choice((">I", ">H", "B")), generator)


def _text_numbers(content: bytes, generator: random.Random) -> bytes:
    """Another number in the head of a PPM."""
    found = [match for match in re.finditer(rb"\d+", content[:20]) if match.start() > 1]
    if not found:
        return content
    one = generator.choice(found)
    return content[: one.start()] + str(extreme(generator, 40)).encode() + content[one.end() :]


MUTATIONS: dict[str, tuple[Mutation, ...]] = {
    "png": (_png_chunks, _png_head, _png_new_chunk, _png_pixels),
    "jpeg": (_jpeg_segments, _jpeg_frame, _jpeg_scans),
    "tiff": (_tiff_entry,),
    "gif": (_gif_blocks,),
    "webp": (_riff_chunks,),
    **dict.fromkeys(("avif", "heic", "jpeg2000"), (_boxes,)),
    "ppm": (_text_numbers,),
    "bmp": (_fields("<IIIIHHIII", 2, 10, 14, 18, 26, 28, 30, 34, 46), _fields("<IIHI", 18, 22, 28, 30)),
    "ico": (_fields("<HBBBHII", 4, 6, 7, 8, 12, 14, 18), _fields("<IIHI", 42, 46, 52, 54)),
    "psd": (_fields(">HIIHHII", 12, 14, 18, 22, 24, 26, 30), _fields(">IH", 34, 38)),
    "qoi": (_fields(">IIBB", 4, 8, 12, 13),),
    "dds": (_fields("<IIIIIII", 8, 12, 16, 20, 76, 80, 84),),
    "sgi": (_fields(">BBHHHHI", 2, 3, 4, 6, 8, 10, 104),),
    "pcx": (_fields("<BBHHHHBH", 2, 3, 4, 6, 8, 10, 65, 66),),
    "tga": (_fields("<BBBHHBHHBB", 0, 1, 2, 3, 5, 7, 12, 14, 16, 17),),
}
