"""Tar files that are packed as a whole: read as their folders, unpacked once and within bounds, or refused."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from archive_files import BESIDE, FILES, HOSTILE_TARS, png, tar_named, write_tar
from whyconv.errors import DataError, PictureError, StorageError
from whyconv.images.cache import list_stores, remove_stores
from whyconv.images.sources import PART_NAMES, kept, packed_tar, read_pictures
from whyconv.images.sources.archive_endings import stem_of

PACKED = {
    "tar.gz": gzip.compress,
    "tgz": gzip.compress,
    "TAR.GZ": gzip.compress,
    "tar.bz2": bz2.compress,
    "tbz2": bz2.compress,
    "tar.xz": lzma.compress,
    "txz": lzma.compress,
}
KINDS = ("tar.gz", "tar.bz2", "tar.xz")
SMALL = {"cat/1.png": png(), "dog/2.png": png()}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The default cache, empty, and not the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "whyconv"


def tar_of(files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return content.getvalue()


def packed(path, content):
    path.write_bytes(PACKED[path.name.partition(".")[2]](content))
    return path


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def as_seen(pictures):
    rows = range(len(pictures))
    labels = [pictures.classes[label] for label in pictures.labels]
    return list(zip(pictures.names, labels, pictures.parts.tolist(), map(pictures.read, rows), strict=True))


@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_tar_is_read_as_its_folder(tmp_path, kind):
    path = packed(tmp_path / f"pets.{kind}", tar_of(dict(reversed((FILES | BESIDE).items()))))
    for name, content in (FILES | BESIDE).items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    ours, folder = read_pictures(path), read_pictures(tmp_path / "folder")
    assert as_seen(ours) == as_seen(folder) == as_seen(pickle.loads(pickle.dumps(ours)))
    assert ours.classes == folder.classes == ("cat", "owl", "고양이")
    assert [PART_NAMES[part] for part in ours.parts] == ["test"] * 6 + ["train"] * 6
    assert [note.key for note in ours.notes] == [*(note.key for note in folder.notes), "archive_unpacked"]
    assert ours.stat(0)[:2] == (len(FILES[ours.names[0]]), path.stat().st_mtime_ns)


def test_it_is_unpacked_once_listed_and_removed(tmp_path, cache, monkeypatch):
    path = packed(tmp_path / "pets.tar.gz", tar_of(SMALL))
    first = read_pictures(path)
    (entry,) = list_stores()
    assert (entry.kind, entry.where) == ("archive", str(path.resolve()))
    assert entry.path.is_relative_to(cache)
    assert entry.num_bytes >= len(tar_of(SMALL))
    (plain,) = entry.path.glob("*.tar")
    assert plain.read_bytes() == tar_of(SMALL)
    # Nothing of it lies under a name of its own.
    assert files_below(entry.path) == sorted(["index.npz", plain.name])
    monkeypatch.setattr(packed_tar, "Unpacking", None)
    assert as_seen(read_pictures(path)) == as_seen(first)
    assert [one.path for one in remove_stores(where=path)] == [entry.path]
    assert list_stores() == []
    assert not entry.path.exists()


def test_a_tar_that_changed_is_unpacked_anew_and_the_old_one_removed(tmp_path):
    path = packed(tmp_path / "pets.tar.gz", tar_of(SMALL))
    read_pictures(path)
    # Of the same size, so that only the time tells them apart.
    path.write_bytes(gzip.compress(tar_of({"cow/1.png": SMALL["cat/1.png"], "dog/2.png": SMALL["dog/2.png"]})))
    os.utime(path, ns=(1, 1))
    assert read_pictures(path).classes == ("cow", "dog")
    (entry,) = list_stores()
    assert len(list(entry.path.glob("*.tar"))) == 1


def test_what_a_killed_process_left_is_removed(tmp_path):
    path = packed(tmp_path / "pets.tar.gz", tar_of(SMALL))
    read_pictures(path)
    (entry,) = list_stores()
    for name, seconds in (("old.part", 7200), ("fresh.part", 60)):
        (entry.path / f".1.tar.{name}").write_bytes(b"half")
        changed = (entry.path / "index.npz").stat().st_mtime - seconds
        os.utime(entry.path / f".1.tar.{name}", (changed, changed))
    (entry.path / "7-7").mkdir()
    os.utime(path, ns=(2, 2))
    read_pictures(path)
    assert [name for name in files_below(entry.path) if "part" in name] == [".1.tar.fresh.part"]
    assert not (entry.path / "7-7").exists()


def test_the_cache_can_be_named(tmp_path, cache):
    path = packed(tmp_path / "pets.tar.xz", tar_of(SMALL))
    read_pictures(path, store=tmp_path / "elsewhere")
    assert [entry.kind for entry in list_stores(tmp_path / "elsewhere")] == ["archive"]
    assert not cache.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_content_says_how_it_is_packed_and_not_the_name(tmp_path, kind):
    content = PACKED[kind](tar_of(SMALL))
    for name in ("a.tar", "b.tgz", "c.tar.xz"):
        (tmp_path / name).write_bytes(content)
        assert as_seen(read_pictures(tmp_path / name)) == [
            ("cat/1.png", "cat", 0, SMALL["cat/1.png"]),
            ("dog/2.png", "dog", 0, SMALL["dog/2.png"]),
        ]
    write_tar(tmp_path / "plain.tar.gz", SMALL)
    assert len(read_pictures(tmp_path / "plain.tar.gz")) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_parts_that_were_packed_one_by_one_are_one_file(tmp_path, kind):
    content = tar_of(SMALL)
    half = len(content) // 3
    path = tmp_path / f"a.{kind}"
    path.write_bytes(PACKED[kind](content[:half]) + PACKED[kind](content[half:]))
    assert as_seen(read_pictures(path)) == as_seen(read_pictures(write_tar(tmp_path / "a.tar", SMALL)))
    if kind == "tar.xz":
        path.write_bytes(PACKED[kind](content[:half]) + bytes(8) + PACKED[kind](content[half:]) + bytes(4))
        os.utime(path, ns=(1, 1))
        assert len(read_pictures(path)) == 2


def test_samples_in_a_packed_tar(tmp_path):
    path = packed(tmp_path / "train-0.tar.gz", tar_of({"a.jpg": b"A", "a.cls": b"cat", "b.jpg": b"B", "b.cls": b"dog"}))
    pictures = read_pictures(path, store=tmp_path / "elsewhere")
    assert pictures.notes[0].key == "read_as_webdataset"
    assert pictures.notes[-1].key == "archive_unpacked"
    assert [name for name, *_ in as_seen(pictures)] == ["a.jpg", "b.jpg"]
    assert [PART_NAMES[part] for part in pictures.parts] == ["train", "train"]


HOSTILE = {
    **{name: content for name, content in HOSTILE_TARS.items() if name not in ("no.tar", "empty.tar")},
    "twice.tar": (tar_of({"a/x.png": b"1"})[:1024] + tar_of({"a/./x.png": b"2"}), "is there twice"),
    "late.tar": (tar_of({"a/x.png": b"1"})[:1024] + tar_named("../x.png"), "leads out"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_members_are_refused_and_nothing_is_kept(tmp_path, kind, name, monkeypatch):
    content, reason = HOSTILE[name]
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    path = packed(inside / f"hostile.{kind}", content)
    with pytest.raises(DataError, match=reason):
        read_pictures(path)
    assert files_below(tmp_path) == [f"a/b/hostile.{kind}"]
    assert list_stores() == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_tar_inside_is_refused(tmp_path, kind):
    for content in (b"", b"<html>not found</html>" * 100, PACKED[kind](tar_of(SMALL))):
        with pytest.raises(DataError, match=rf"a\.{kind} cannot be read as {kind}: .*Is the file complete"):
            read_pictures(packed(tmp_path / f"a.{kind}", content))
    (tmp_path / f"b.{kind}").write_bytes(b"")
    with pytest.raises(DataError, match=f"cannot be read as {kind}: empty file"):
        read_pictures(tmp_path / f"b.{kind}")
    assert list_stores() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_tar_cut_anywhere_is_refused(tmp_path, cache, kind):
    whole = PACKED[kind](tar_of({f"{k}/a.png": RNG.bytes(3000) for k in range(4)}))
    for length in [*range(10, len(whole), len(whole) // 12), len(whole) - 1]:
        path = tmp_path / f"cut.{kind}"
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"cut\.{kind} cannot be read as {kind}: .*Is the file complete"):
            read_pictures(path)
    assert list_stores() == []
    assert files_below(cache) == []


RNG = np.random.default_rng(1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_tar_with_one_changed_byte_is_refused(tmp_path, kind):
    whole = bytearray(PACKED[kind](tar_of({f"{k}/a.png": RNG.bytes(3000) for k in range(4)})))
    for place in range(20, len(whole) - 20, len(whole) // 12):
        path = tmp_path / f"a.{kind}"
        path.write_bytes(bytes([*whole[:place], whole[place] ^ 0x10, *whole[place + 1 :]]))
        with pytest.raises(DataError, match=f"cannot be read as {kind}"):
            read_pictures(path)


@pytest.mark.parametrize("where", ["in a member", "behind the end"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused_at_the_bound_and_nothing_of_it_stays(tmp_path, cache, kind, where, monkeypatch):
    monkeypatch.setattr(kept, "ALWAYS_BYTES", 5_000_000)
    zeros = bytes(20_000_000)
    content = tar_of({"a/x.png": zeros}) if where == "in a member" else tar_of(SMALL) + zeros
    written = _watch(monkeypatch)
    with pytest.raises(DataError, match="is refused: it unpacks to more than 5,000,000 bytes, and at most 100 times"):
        read_pictures(packed(tmp_path / f"bomb.{kind}", content))
    assert sum(written) <= 5_000_000
    assert files_below(cache) == []
    assert list_stores() == []


def _watch(monkeypatch):
    """Sizes of what is written of an unpacked stream, as it is written."""
    written, read = [], packed_tar.Unpacking.read

    def watched(self, size):
        data = read(self, size)
        written.append(len(data))
        return data

    monkeypatch.setattr(packed_tar.Unpacking, "read", watched)
    return written


def test_the_bound_follows_the_size_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "ALWAYS_BYTES", 0)
    # Half of it cannot be packed: far less than a hundred times its own size.
    assert (
        len(read_pictures(packed(tmp_path / "a.tar.gz", tar_of({"a/1": RNG.bytes(50_000), "b/2": bytes(50_000)})))) == 2
    )
    with pytest.raises(DataError, match="refused: it unpacks to more than"):
        read_pictures(packed(tmp_path / "b.tar.gz", tar_of({"a/1": b"1", "b/2": bytes(5_000_000)})))


def test_a_disk_that_has_no_room_is_left_alone(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(kept, "free_disk_bytes", lambda folder: kept.RESERVE_BYTES + 1000)
    with pytest.raises(StorageError, match=r"unpacks to more than the 1,000 bytes .* --store DIR"):
        read_pictures(packed(tmp_path / "a.tar.gz", tar_of(SMALL)))
    assert files_below(cache) == []


def test_a_cache_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "home").write_bytes(b"a file, no folder")
    with pytest.raises(StorageError, match="cannot be written"):
        read_pictures(packed(tmp_path / "a.tar.gz", tar_of(SMALL)))


def test_too_many_members_are_noticed_while_they_go_by(tmp_path, monkeypatch):
    monkeypatch.setattr("whyconv.images.sources.tar_members.MOST_MEMBERS", 5)
    content = tar_of({f"{k}/a.png": bytes(100_000) for k in range(50)})
    written = _watch(monkeypatch)
    with pytest.raises(DataError, match="has more than"):
        read_pictures(packed(tmp_path / "six.tar.gz", content))
    assert sum(written) < len(content) / 5
    assert len(read_pictures(packed(tmp_path / "five.tar.gz", tar_of({f"{k}/a.png": b"x" for k in range(5)})))) == 5


@pytest.mark.parametrize("kind", ["tar", *KINDS])
def test_a_head_that_would_fill_the_memory_is_refused(tmp_path, kind):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a/x.png")
        info.pax_headers = {"comment": "x" * 3_000_000}
        archive.addfile(info, io.BytesIO())
    path = tmp_path / f"head.{kind}"
    path.write_bytes(PACKED.get(kind, bytes)(content.getvalue()))
    with pytest.raises(DataError, match=r"the head of a member has 3,0.* at most 1,048,576 are read"):
        read_pictures(path)


def test_xz_that_asks_for_much_memory_is_refused(tmp_path):
    path = tmp_path / "a.tar.xz"
    for megabytes, is_read in ((64, True), (1024, False)):
        # The size of what it may look back at stands in its head and costs who made it nothing.
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
        content = bytearray(lzma.compress(tar_of(SMALL), lzma.FORMAT_XZ, filters=filters))
        _set_dictionary(content, megabytes << 20)
        path.write_bytes(content)
        os.utime(path, ns=(megabytes, megabytes))
        if is_read:
            assert len(read_pictures(path)) == 2
        else:
            with pytest.raises(DataError, match=r"[Mm]emory usage limit"):
                read_pictures(path)


def _set_dictionary(content, num_bytes):
    """Changes the size of the dictionary in the head of the first block, and the sum behind it."""
    start, size = 12, (content[12] + 1) * 4
    place = content.index(b"\x21\x01", start) + 2
    content[place] = 2 * (num_bytes.bit_length() - 1 - 12)
    end = start + size - 4
    content[end : end + 4] = _crc32(content[start:end]).to_bytes(4, "little")


def _crc32(data):
    return int.from_bytes(gzip.compress(bytes(data))[-8:-4], "little")


@pytest.mark.parametrize("place", [512 * 2, 512 * 4])
def test_a_damaged_list_of_members_is_no_shorter_list(tmp_path, place):
    content = bytearray(tar_of({f"{k}/a.png": b"x" for k in range(5)}))
    content[place + 3] ^= 1
    (tmp_path / "a.tar").write_bytes(content)
    for path in (tmp_path / "a.tar", packed(tmp_path / "a.tar.gz", bytes(content))):
        with pytest.raises(DataError, match=f"the list of members is damaged at byte {place:,}"):
            read_pictures(path)


def test_a_member_of_negative_size_is_refused(tmp_path):
    content = bytearray(tar_of({"a/1.png": b"x", "b/2.png": b"x"}))
    content[124:136] = b"\xff" * 10 + b"\xfc\x00"
    content[148:156] = b"%06o\0 " % (sum(content[:148]) + sum(content[156:512]) + 8 * 32)
    (tmp_path / "a.tar").write_bytes(content)
    for path in (tmp_path / "a.tar", packed(tmp_path / "a.tar.gz", bytes(content))):
        with pytest.raises(DataError, match="has a size of -1,024 bytes"):
            read_pictures(path)


@pytest.mark.parametrize("name", ["a.tar.zst", "a.tzst", "a.7z", "a.rar", "a.tar.lz4", "a.gz", "a.tar.Z"])
def test_what_is_packed_in_another_way_is_refused_by_its_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(DataError, match=r"is packed as .*, which is not read\. Unpack it"):
        read_pictures(tmp_path / name)


def test_the_copy_that_is_gone_is_said(tmp_path):
    pictures = read_pictures(packed(tmp_path / "a.tar.gz", tar_of(SMALL)))
    remove_stores()
    with pytest.raises(PictureError, match="the archive cannot be read: no such file"):
        pictures.read(0)


def test_a_folder_with_a_packed_tar_says_to_name_it(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    packed(folder / "a.tar.gz", tar_of(SMALL))
    with pytest.raises(DataError, match="Name the archive itself"):
        read_pictures(folder)
    Path(folder / "a.tar.gz").rename(folder / "a.tar.zst")
    with pytest.raises(DataError, match="Unpack the archive first"):
        read_pictures(folder)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("pets.tar.gz", "pets"), ("pets.TGZ", "pets"), ("a.b.tar", "a.b"), ("pets.zip", "pets"), ("a.b.npz", "a.b")],
)
def test_a_run_is_called_after_an_archive_without_its_ending(name, stem):
    assert stem_of(Path("folder") / name) == stem
