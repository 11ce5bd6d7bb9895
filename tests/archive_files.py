"""Archives as people make them, and tar files that nobody should trust."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def png() -> bytes:
    content = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (6, 5, 3), np.uint8)).save(content, "PNG")
    return content.getvalue()


FILES = {
    f"set/{part}/{name}/{number}.png": png()
    for part in ("train", "test") for name in ("owl", "cat", "고양이") for number in (10, 2)
}  # fmt: skip
BESIDE = {"set/README.txt": b"text", "__MACOSX/set/._1.png": b"x", "set/train/.hidden.png": b"y"}


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def with_member(kind: bytes, name: str = "a/x.png", target: str = "/etc/passwd") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        archive.addfile(info)
    return content.getvalue()


def tar_named(name: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        info = tarfile.TarInfo("placeholder")
        info.name, info.size = name, 1
        archive.addfile(info, io.BytesIO(b"x"))
    return content.getvalue()


def sparse_tar() -> bytes:
    content = bytearray(tar_named("a/x.png"))
    content[156:157] = b"S"
    content[148:156] = b"%06o\0 " % (sum(content[:148]) + sum(content[156:512]) + 8 * 32)
    return bytes(content)


HOSTILE_TARS = {
    "up.tar": (tar_named("../x.png"), "leads out"),
    "deep_up.tar": (tar_named("a/../../x.png"), "leads out"),
    "absolute.tar": (tar_named("/etc/x.png"), "names a place on the whole disk"),
    "drive.tar": (tar_named("C:/x.png"), "names a place on the whole disk"),
    "link.tar": (with_member(tarfile.SYMTYPE), "is a link"),
    "link_up.tar": (with_member(tarfile.SYMTYPE, target="../../x"), "is a link"),
    "hard_link.tar": (with_member(tarfile.LNKTYPE), "is a link"),
    "device.tar": (with_member(tarfile.CHRTYPE), "is no regular file"),
    "block.tar": (with_member(tarfile.BLKTYPE), "is no regular file"),
    "fifo.tar": (with_member(tarfile.FIFOTYPE), "is no regular file"),
    "folder_up.tar": (with_member(tarfile.DIRTYPE, "../a"), "leads out"),
    "sparse.tar": (sparse_tar(), "is no regular file"),
    "cut.tar": (tar_named("a/x.png")[:512], "cannot be read as tar"),
    "no.tar": (b"<html>not found</html>" * 40, "cannot be read as tar"),
    "empty.tar": (b"", "cannot be read as tar"),
}
