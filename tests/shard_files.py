"""Shards for tests: pictures of one color each, which says which picture it is; and a server that hands them out."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from whyconv.training.pixel_rows import LabelledPixels


def picture(number: int, side: int = 4) -> bytes:
    """A PNG of one color, from which ``number_of`` tells the number, less than 65,536."""
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[:, :] = (number // 256, number % 256, 7)
    return png(pixels)


def number_of(pixels: np.ndarray) -> np.ndarray:
    """Numbers of pictures (n, side, side, 3)."""
    return pixels[:, 0, 0, 0].astype(int) * 256 + pixels[:, 0, 0, 1]


def png(pixels: np.ndarray) -> bytes:
    """A picture as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, "png")
    return file.getvalue()


def write_tar(path: Path, samples: Iterable[tuple[str, bytes, str | None]]) -> Path:
    """Writes samples of a name, a picture and a label; None: without one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content, label in samples:
            members = {f"{name}.png": content} | ({} if label is None else {f"{name}.cls": label.encode()})
            for member, data in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


def write_numbered(folder: Path, counts: Sequence[int], num_classes: int = 3, name: str = "pics") -> str:
    """Writes shards of so many numbered pictures each, sorted by class; returns the pattern that names them."""
    total, first = sum(counts), 0
    for number, count in enumerate(counts):
        rows = range(first, first + count)
        samples = [(f"{row:05d}", picture(row), f"c{row * num_classes // total}") for row in rows]
        write_tar(folder / f"{name}-{number:03d}.tar", samples)
        first += count
    return f"{folder}/{name}-{{000..{len(counts) - 1:03d}}}.tar"


def write_data(folder: Path, data: LabelledPixels, per_shard: int, name: str = "bars") -> str:
    """Writes labelled pixels as shards, and returns the pattern that names them."""
    for start in range(0, len(data), per_shard):
        rows = range(start, min(len(data), start + per_shard))
        samples = [(f"{row:05d}", png(np.asarray(data.pixels[row])), f"class {data.labels[row]}") for row in rows]
        write_tar(folder / f"{name}-{start // per_shard:03d}.tar", samples)
    return f"{folder}/{name}-*.tar"


def write_parquet(path: Path, numbers: Sequence[int], *, num_classes: int = 3, group: int = 10) -> Path:
    """Writes numbered pictures as the datasets library does, in row groups of ``group``."""
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    values = [{"bytes": picture(number), "path": None} for number in numbers]
    labels = [f"c{number % num_classes}" for number in numbers]
    parquet.write_table(pyarrow.table({"image": values, "label": labels}), path, row_group_size=group)
    return path


class _WithRanges(SimpleHTTPRequestHandler):
    """Hands out parts of files, as servers of large files do; the standard one gives only whole ones.

    Of ``tags`` it says what tells one content from another: "ETag", "Last-Modified" or nothing.
    """

    tags: tuple[str, ...] = ()

    def log_message(self, *words: Any) -> None: ...

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        asked = self.headers.get("Range", "")
        first, last = 0, len(content) - 1
        if asked:
            start, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(start), min(last, int(end or last))
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        known = {
            "ETag": f'"{len(content)}-{path.stat().st_mtime_ns}"',
            "Last-Modified": self.date_time_string(path.stat().st_mtime),
        }
        for tag in self.tags:
            self.send_header(tag, known[tag])
        self.send_header("Content-Length", str(last - first + 1))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if with_body:
            self.wfile.write(content[first : last + 1])


@contextmanager
def served(folder: Path, tags: tuple[str, ...] = ("ETag",)) -> Iterator[str]:
    """A real server of the files of a folder on this machine; gives its address."""

    class Handler(_WithRanges):
        def __init__(self, *words: Any) -> None:
            super().__init__(*words, directory=str(folder))

    Handler.tags = tags
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
