"""How bytes of shards are read: no more of them than pictures take, and in parts."""

import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from shard_files import picture, write_numbered, write_parquet
from whyconv.errors import DataError
from whyconv.images.shards import open_shards, shards

FILM_BYTES = 3_000_000


def write_with_film(path, num_pictures, before):
    """Labelled pictures, and a film before one of them."""
    with tarfile.open(path, "w") as tar:
        for number in range(num_pictures):
            members = [(f"{number:03d}.cls", b"x"), (f"{number:03d}.png", picture(number))]
            if number == before:
                members.insert(0, ("film.mp4", bytes(FILM_BYTES)))
            for name, content in members:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def test_what_lies_between_pictures_is_not_read(tmp_path, monkeypatch):
    path = write_with_film(tmp_path / "a-0.tar", 12, before=5)
    found = open_shards(f"{path}::{path}", folder=tmp_path / "cache")
    read, sizes = shards.read_part, []

    def noted(place, start, end):
        sizes.append(end - start)
        return read(place, start, end)

    monkeypatch.setattr(shards, "read_part", noted)
    assert list(found.read(0, np.arange(12))) == [picture(number) for number in range(12)]
    assert len(sizes) == 2
    assert sum(sizes) < FILM_BYTES // 10


@pytest.fixture
def whole_files_only(tmp_path):
    """The server that Python comes with, which gives no parts of files; its address, and the bytes that it gave."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_server_that_gives_no_parts_of_files_is_named(tmp_path, whole_files_only):
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    write_numbered(tmp_path, (40,))
    write_parquet(tmp_path / "p.parquet", range(25))
    for name in ("pics-000.tar", "p.parquet"):
        with pytest.raises(DataError, match=rf"{name}: the server gives no part of a file.*Download them"):
            open_shards(f"{whole_files_only}/{name}", folder=tmp_path / "cache")
