"""Zip and tar archives of folders: read in place, and refused where they could only harm."""

import io
import pickle
import stat
import struct
import tarfile
import warnings
import zipfile

import pytest

from archive_files import BESIDE, FILES, HOSTILE_TARS, png, write_tar, write_zip
from whyconv.errors import DataError, PictureError
from whyconv.images.sources import PART_NAMES, read_pictures

FORMS = {
    "stored.zip": lambda path, files: write_zip(path, files, zipfile.ZIP_STORED),
    "deflated.zip": write_zip,
    "bzip2.zip": lambda path, files: write_zip(path, files, zipfile.ZIP_BZIP2),
    "lzma.ZIP": lambda path, files: write_zip(path, files, zipfile.ZIP_LZMA),
    "pax.tar": write_tar,
    "gnu.tar": lambda path, files: write_tar(path, files, tarfile.GNU_FORMAT),
    "ustar.tar": lambda path, files: write_tar(path, files, tarfile.USTAR_FORMAT),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_is_read_as_its_folder(tmp_path, form):
    shuffled = dict(sorted((FILES | BESIDE).items(), key=lambda item: hash(item[1])))
    path = FORMS[form](tmp_path / form, shuffled)
    for name, content in (FILES | BESIDE).items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    ours, folder = read_pictures(path), read_pictures(tmp_path / "folder")
    assert list(ours.names) == list(folder.names)
    assert ours.classes == folder.classes == ("cat", "owl", "고양이")
    assert ours.labels.tolist() == folder.labels.tolist()
    assert [PART_NAMES[part] for part in ours.parts] == ["test"] * 6 + ["train"] * 6
    assert [note.key for note in ours.notes] == [note.key for note in folder.notes]
    for pictures in (ours, pickle.loads(pickle.dumps(ours))):
        assert all(pictures.read(row) == FILES[name] for row, name in enumerate(pictures.names))
        assert all(pictures.stat(row)[0] == len(FILES[name]) for row, name in enumerate(pictures.names))


def test_labels_from_names_and_one_folder(tmp_path):
    path = write_zip(tmp_path / "a.zip", {f"{name}_{k}.png": png() for name in ("a", "b") for k in range(3)})
    assert read_pictures(path, label_from="([a-z])_").classes == ("a", "b")
    with pytest.raises(DataError, match="no class folders"):
        read_pictures(path)


@pytest.mark.parametrize("encoding", ["cp949", "cp932", "gb18030", "cp437", "utf-8"])
def test_names_that_old_programs_wrote(tmp_path, encoding):
    words = {
        "cp949": ("고양이", "강아지", "똠양꿍 사진"),
        "cp932": ("ネコ", "犬の写真"),
        "gb18030": ("大象", "熊猫", "狐狸"),
        "cp437": ("Katze", "Vögel"),
    }
    names = words.get(encoding, ("고양이", "猫"))
    path = tmp_path / "old.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo("placeholder")
            # As a program writes it that knows its own letters only: bytes, and no word of which.
            info.filename = info.orig_filename = f"{name}/1.png".encode(encoding).decode("cp437")
            archive.writestr(_Unmarked(info), png())
    assert set(read_pictures(path).classes) == set(names)


class _Unmarked(zipfile.ZipInfo):
    """A member whose name is written in the bytes of code page 437 and not marked as UTF-8."""

    def __init__(self, info: zipfile.ZipInfo) -> None:
        super().__init__(info.filename, info.date_time)

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile calls it
        return self.filename.encode("cp437"), self.flag_bits


def _zip_of(*infos: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a name is there twice
        for info, body in infos:
            archive.writestr(info, body)
    return content.getvalue()


def _special(mode: int) -> bytes:
    info = zipfile.ZipInfo("a/x.png")
    info.external_attr = (mode | 0o777) << 16
    return _zip_of((info, b"/etc/passwd"))


def _zip_named(*names: str) -> bytes:
    return _zip_of(*((zipfile.ZipInfo(name), b"x") for name in names))


def _patched(content: bytes, at_central: int, value: bytes) -> bytes:
    """With a field of the first entry in the list of members changed."""
    start = content.index(b"PK\1\2") + at_central
    return content[:start] + value + content[start + len(value) :]


def _overlapping() -> bytes:
    """Two hundred members, all of which are one and the same megabyte of zeros."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0.png", bytes(1_000_000))
        first = archive.infolist()[0]
        for number in range(1, 200):
            info = zipfile.ZipInfo(f"a/{number}.png")
            for field in ("header_offset", "compress_size", "file_size", "CRC", "compress_type", "flag_bits"):
                setattr(info, field, getattr(first, field))
            archive.filelist.append(info)
        archive._didModify = True
    return content.getvalue()


def _many(number: int) -> bytes:
    """The end of a zip file that says it has so many members (zip64)."""
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, number, number, 0, 0)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 0, 1)
    return record + locator + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)


HOSTILE = {
    "up.zip": (_zip_named("../x.png"), "leads out"),
    "deep_up.zip": (_zip_named("a/b/../../../x.png"), "leads out"),
    "backslash_up.zip": (_zip_named("..\\x.png"), "leads out"),
    "absolute.zip": (_zip_named("/etc/x.png"), "names a place on the whole disk"),
    "drive.zip": (_zip_named("C:\\x.png"), "names a place on the whole disk"),
    "drive_relative.zip": (_zip_named("c:x.png"), "names a place on the whole disk"),
    "share.zip": (_zip_named("\\\\host\\share\\x.png"), "names a place on the whole disk"),
    "long.zip": (_zip_named("a/" + "x" * 5000), "has no name"),
    "twice.zip": (_zip_named("a/x.png", "a/x.png"), "is there twice"),
    "twice_dotted.zip": (_zip_named("a/x.png", "a/./x.png"), "is there twice"),
    "link.zip": (_special(stat.S_IFLNK), "is a link"),
    "fifo.zip": (_special(stat.S_IFIFO), "is no regular file"),
    "device.zip": (_special(stat.S_IFCHR), "is no regular file"),
    "block.zip": (_special(stat.S_IFBLK), "is no regular file"),
    "socket.zip": (_special(stat.S_IFSOCK), "is no regular file"),
    "locked.zip": (_patched(_zip_named("a/x.png"), 8, b"\1\0"), "is locked with a password"),
    "method.zip": (_patched(_zip_named("a/x.png"), 10, b"\x63\0"), "is packed by method 99"),
    "overlap.zip": (_overlapping(), "shares its data"),
    "million.zip": (_many(1_000_000), "more than 500,000 members"),
    "cut.zip": (_zip_named("a/x.png")[:-5], "cannot be read as zip"),
    "no.zip": (b"<html>not found</html>", "cannot be read as zip"),
    "empty.zip": (b"", "cannot be read as zip"),
    **HOSTILE_TARS,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused_and_nothing_is_written(tmp_path, name, monkeypatch):
    content, reason = HOSTILE[name]
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    (inside / name).write_bytes(content)
    monkeypatch.chdir(inside)
    with pytest.raises(DataError, match=reason):
        read_pictures(inside / name)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [inside / name]


def test_more_members_than_are_read_are_counted_and_not_listed(tmp_path, monkeypatch):
    monkeypatch.setattr("whyconv.images.sources.tar_members.MOST_MEMBERS", 5)
    monkeypatch.setattr("whyconv.images.sources.zip_members.MOST_MEMBERS", 5)
    for write, ending in ((write_zip, "zip"), (write_tar, "tar")):
        assert len(read_pictures(write(tmp_path / f"five.{ending}", {f"{k}/a.png": b"x" for k in range(5)}))) == 5
        with pytest.raises(DataError, match="has more than"):
            read_pictures(write(tmp_path / f"six.{ending}", {f"{k}/a.png": b"x" for k in range(6)}))


def test_a_damaged_member_is_one_picture_that_cannot_be_read(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a/1.png": png(), "b/2.png": png()}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    pictures = read_pictures(path)
    with pytest.raises(PictureError, match="damaged in the archive: Bad CRC-32"):
        pictures.read(0)
    assert pictures.read(1)
    # The two lists of an archive call a member by different names.
    path.write_bytes(path.read_bytes().replace(b"b/2.png", b"b/3.png", 1))
    with pytest.raises(PictureError, match="damaged in the archive"):
        read_pictures(path).read(1)


def test_a_member_that_unpacks_to_more_than_it_says_is_not_unpacked(tmp_path):
    path = write_zip(tmp_path / "bomb.zip", {"a/1.png": bytes(50_000_000), "b/2.png": png()})
    content = path.read_bytes()
    path.write_bytes(_patched(content, 24, struct.pack("<I", 1000)))
    with pytest.raises(PictureError):
        read_pictures(path).read(0)


def test_too_large_a_member_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("whyconv.images.sources.archives.MAX_FILE_BYTES", 10)
    pictures = read_pictures(write_zip(tmp_path / "a.zip", {"a/1.png": bytes(11), "b/2.png": bytes(10)}))
    with pytest.raises(PictureError, match="the file has 11 bytes; at most 10 are read"):
        pictures.read(0)
    assert pictures.read(1) == bytes(10)


def test_an_archive_that_is_gone_is_said(tmp_path):
    for path in (write_zip(tmp_path / "a.zip", FILES), write_tar(tmp_path / "a.tar", FILES)):
        pictures = read_pictures(path)
        path.unlink()
        with pytest.raises(PictureError, match="no such file"):
            pictures.read(0)


def test_an_archive_that_was_cut_after_it_was_listed_is_said(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a/1.png": png(), "b/2.png": png()})
    pictures = read_pictures(path)
    path.write_bytes(path.read_bytes()[: 512 + 20])
    with pytest.raises(PictureError, match="it has 20 bytes, and the archive says"):
        pictures.read(0)


def test_a_tar_cut_at_any_block_is_refused_or_lacks_nothing_but_its_end(tmp_path):
    content = write_tar(tmp_path / "a.tar", {"a/1.png": png(), "b/2.png": png()}).read_bytes()
    for length in range(512, 4 * 512, 100):
        path = tmp_path / "cut.tar"
        path.write_bytes(content[:length])
        try:
            pictures = read_pictures(path)
        except DataError:
            continue
        assert all(pictures.read(row) for row in range(len(pictures)))
