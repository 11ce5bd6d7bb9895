"""What is left of a saved state where the process is killed while it saves the next one over it.

    python benchmarks/kill_during_save.py whyconv torch                       needs strace, and to be allowed to trace
    PEERS/bin/python benchmarks/kill_during_save.py lightning timm fastai accelerate

One state is saved, and then the next one in the same place. With strace, the process gets SIGKILL as it enters the
first system call of that second save that has to do with files, in another trial the second, and so on through all of
them. Then the state is asked for as the tool documents it. It is the old one or the new one, a mixture, or none: lost.
Each saver stands in saving/savers.py, and works in forks of one process, so that a trial takes a fraction of a second.

One line of JSON for each saver: its version, the number of trials, and how often which state was found.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from saving.savers import SAVERS, Saver

CALLS = (
    *("openat", "write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate", "close", "rename", "renameat"),
    *("renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "rmdir", "chmod", "fchmod", "sendfile"),
    "copy_file_range",
)
OLD, NEW = 1, 2


def main() -> None:
    """Puts every saver that is named to the test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("savers", nargs="+", choices=SAVERS)
    parser.add_argument("--into", type=Path, help="Folder to save in; by default one beside the temporary files.")
    parser.add_argument("--temporary", type=Path, help="Folder for temporary files, as on another file system.")
    asked = parser.parse_args()
    if asked.temporary:
        tempfile.tempdir = str(asked.temporary)
    for name in asked.savers:
        with tempfile.TemporaryDirectory(dir=asked.into) as folder:
            row = put_to_the_test(SAVERS[name](), Path(folder))
        sys.stdout.write(json.dumps({"saver": name, "temporary": str(asked.temporary or ""), **row}) + "\n")
        sys.stdout.flush()


def put_to_the_test(saver: Saver, place: Path) -> dict[str, object]:
    """Kills the second save at every system call, and counts what is found afterwards."""
    (place / "before").mkdir()
    saver.save(place / "before", OLD)
    counts = _calls_of(saver, _copied(place, "counted"), place / "trace")
    points = [(call, at) for call in CALLS for at in range(1, counts[call] + 1)]
    latest, any_state, num_killed = Counter[str](), Counter[str](), 0
    for call, at in points:
        folder = _copied(place, "tried")
        status = _traced(saver, folder, ["-o", os.devnull, "-e", f"inject={call}:signal=SIGKILL:when={at}"], [call])
        num_killed += os.WIFSIGNALED(status)
        latest[_word(saver.latest(folder))] += 1
        any_state[_word(saver.any_state(folder))] += 1
    return {
        "version": saver.version(),
        "trials": len(points),
        "killed": num_killed,
        "latest": dict(sorted(latest.items())),
        "any": dict(sorted(any_state.items())),
        "calls": {call: count for call, count in counts.items() if count},
    }


def _word(value: int | None) -> str:
    return {OLD: "old", NEW: "new", None: "lost"}.get(value, "mixed")


def _copied(place: Path, name: str) -> Path:
    shutil.rmtree(place / name, ignore_errors=True)
    shutil.copytree(place / "before", place / name)
    return place / name


def _calls_of(saver: Saver, folder: Path, trace: Path) -> Counter[str]:
    """How often the second save makes each system call."""
    status = _traced(saver, folder, ["-o", str(trace)], list(CALLS))
    if status or saver.latest(folder) != NEW:
        raise SystemExit(f"A save that nothing disturbs fails: status {status}.")
    return Counter(re.findall(r"^(\w+)\(", trace.read_text(errors="replace"), flags=re.MULTILINE))


def _traced(saver: Saver, folder: Path, options: list[str], calls: list[str]) -> int:
    """Forks a process that saves the second state under strace; returns how it ended."""
    gate, opener = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.read(gate, 1)
            saver.save(folder, NEW)
            code = 0
        finally:
            os._exit(code)
    command = ["strace", "-qq", "-p", str(child), "-e", f"trace={','.join(calls)}", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        while not re.search(r"TracerPid:\s+[1-9]", Path(f"/proc/{child}/status").read_text()):
            if tracer.poll() is not None:
                os.close(opener)
                raise SystemExit(f"strace cannot trace here: {tracer.stderr.read().decode() if tracer.stderr else ''}")
            time.sleep(0.002)
        os.write(opener, b"x")
        os.close(opener)
        os.close(gate)
        _, status = os.waitpid(child, 0)
    return status


if __name__ == "__main__":
    main()
