"""The one writer: whole or not at all, in the order that survives a power cut."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from whyconv import files
from whyconv.errors import StorageError


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_there_and_nothing_else(tmp_path: Path) -> None:
    files.write_text(tmp_path / "new" / "a.txt", "고양이\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "고양이\n".encode()
    assert names_in(tmp_path / "new") == ["a.txt"]


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")
    with pytest.raises(OSError, match="full"), files.writing(path) as file:
        file.write(b"half")
        raise OSError("disk full")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.bin"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_the_file_has_the_rights_the_person_wants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_bytes(tmp_path / "a", b"")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_line_is_added_at_the_end(tmp_path: Path) -> None:
    files.append_line(tmp_path / "log.jsonl", '{"a": 1}')
    files.append_line(tmp_path / "log.jsonl", '{"a": 2}')
    assert (tmp_path / "log.jsonl").read_bytes() == b'{"a": 1}\n{"a": 2}\n'


def test_a_line_that_the_disk_does_not_take_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl"
    files.append_line(path, '{"a": 1}')

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StorageError, match=r"log\.jsonl cannot be written: No space left on device. It needs 9 bytes"):
        files.append_line(path, '{"a": 2}')
    monkeypatch.undo()
    files.append_line(path, '{"a": 3}')
    assert path.read_bytes() == b'{"a": 1}\n{"a": 3}\n'


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"a\.bin cannot be written: (File exists|Not a directory)"):
        files.write_bytes(tmp_path / "file" / "a.bin", b"")


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".a.bin.x1y2.part", ".hidden", "b.part", "c"):
        (tmp_path / name).touch()
    files.remove_parts(tmp_path)
    assert names_in(tmp_path) == [".hidden", "b.part", "c"]


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000  # more than two blocks
    (tmp_path / "a").write_bytes(content)
    expected = hashlib.blake2b(content, digest_size=16).hexdigest()
    assert files.digest(tmp_path / "a") == files.digest_bytes(content) == expected


def test_the_order_survives_a_power_cut(tmp_path: Path) -> None:
    """Write, flush the file, rename, flush the folder: in this order, as the system sees it."""
    if shutil.which("strace") is None:
        pytest.skip("no strace on this machine: the order of system calls cannot be seen")
    trace = tmp_path / "trace"
    target = tmp_path / "out" / "a.bin"
    code = "import sys, pathlib, whyconv.files as f; f.write_bytes(pathlib.Path(sys.argv[1]), b'whole')"
    calls = "trace=write,fsync,rename,renameat,renameat2"
    command = ["strace", "-f", "-y", "-e", calls, "-o", str(trace), sys.executable, "-c", code, str(target)]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    if "ptrace" in done.stderr.lower():
        pytest.skip(f"strace is not allowed here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    seen = re.findall(rf"(\w+)\(.*{re.escape(str(target.parent))}", trace.read_text())
    assert [name[:6] for name in seen] == ["write", "fsync", "rename", "fsync"]
