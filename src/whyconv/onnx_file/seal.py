"""The digest at the end of an ONNX file that whyconv wrote: a byte that changed since is noticed.

The digest is the file's last entry of metadata, over all bytes before it. Other programs read the file as ever. What
has been written anew by one of them and still has the entry counts as changed; with the entry taken out it is a file
without a digest, as those of older versions are.
"""

from __future__ import annotations

import hashlib

from whyconv.onnx_file.protobuf import field_bytes

SEAL_KEY = "whyconv_digest"
_METADATA_FIELD, _KEY, _VALUE = 14, 1, 2
_DIGEST_BYTES = 32


def sealed(content: bytes) -> bytes:
    """Returns a file with its digest behind it, for the one who writes it to the disk."""
    bare = without_seal(content)
    return bare + _seal(bare)


def without_seal(content: bytes) -> bytes:
    """Returns the file as it was before ``sealed``; one without a digest as it is."""
    return content[:-_LENGTH] if content[-_LENGTH:].startswith(_START) else content


def is_as_written(content: bytes, *, has_entry: bool) -> bool:
    """Whether a file is as ``sealed`` made it, or never had a digest.

    Args:
        content: The whole file.
        has_entry: Whether an entry of metadata with the key of the digest was found in it.
    """
    end = content[-_LENGTH:]
    # Of a digest that was damaged itself most of its frame is left.
    is_sealed = has_entry or 2 * sum(map(int.__eq__, end, _START)) > len(_START)
    return not is_sealed or end == _seal(memoryview(content)[:-_LENGTH])


def _seal(content: bytes | memoryview) -> bytes:
    digest = hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()
    entry = field_bytes(_KEY, SEAL_KEY.encode()) + field_bytes(_VALUE, digest.encode())
    return field_bytes(_METADATA_FIELD, entry)


_LENGTH = len(_seal(b""))
_START = _seal(b"")[: -2 * _DIGEST_BYTES]
