"""What a server takes of the machine, and a server that is watched: what it opens, starts or asks is told."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from http_server import START

WATCHED = (
    """
import os, sys
sys.dont_write_bytecode = True
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
NEVER = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "os.system", "os.exec", "os.posix_spawn",
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.truncate",
    "shutil.copyfile", "tempfile.mkstemp", "pickle.find_class", "ctypes.dlopen"}
is_ready = False

def watch(event, args):
    if not is_ready:
        return
    if event == "open" and args[0] != os.devnull and not isinstance(args[0], int) and args[2] & WRITES:
        sys.stderr.write(f"WATCH: open {args[0]}\\n")
    elif event == "subprocess.Popen" and list(args[1][:3]) != [sys.executable, "-P", "-c"]:
        sys.stderr.write(f"WATCH: {args[1]}\\n")
    elif event in NEVER:
        sys.stderr.write(f"WATCH: {event} {args}\\n")

sys.addaudithook(watch)
import whyconv.cli.serving as serving
print_json = serving.print_json

def ready(*args, **kwargs):
    global is_ready
    print_json(*args, **kwargs)
    is_ready = True

serving.print_json = ready
"""
    + START
)


def processes(pid: int) -> list[int]:
    """A process and all that it started; threads may end while this looks."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, task.read_text().split())
    return found


def memory(pid: int) -> int:
    """Bytes of the machine's memory that a process and all that it started hold."""
    return sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in processes(pid)) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def descriptors(pid: int) -> int:
    """Files, pipes and sockets that a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def in_work(text: bytes) -> dict[str, int]:
    """The gauges among the counters of a server: pictures in work, connections."""
    lines = (line.split() for line in text.decode().splitlines() if line.startswith("whyconv_") and "{" not in line)
    return {name.removeprefix("whyconv_"): int(value) for name, value in lines}
