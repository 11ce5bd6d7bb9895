"""Opens files of strangers, watched: what Python does meanwhile, how long it takes and how much memory.

    python opening_process.py PAYLOADS

``PAYLOADS`` is a JSON list of [name, opener, path]. One line of JSON for each: seconds of the processor, megabytes of
memory more than before at the most, the error's class and text, and every event that no opening has a reason for.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from strange_runs import MODULE
from tiny_training import tiny_plan
from whyconv import workflow
from whyconv.anatomy import inspect_network
from whyconv.evidence.nearest import read_examples
from whyconv.exporting import export_run, open_torch
from whyconv.finishing import read_summary
from whyconv.images.sources.arrays import read_arrays
from whyconv.pretrained.foreign import find_foreign, foreign_backbone
from whyconv.recognizer import open_recognizer
from whyconv.results import ignore
from whyconv.training.history import read_history
from whyconv.training.start import start_network
from whyconv.training.start_weights import find_start_weights, put_start_weights

NETWORK = start_network(tiny_plan())


def _start(path: Path) -> None:
    put_start_weights(find_start_weights(path), NETWORK, num_classes=2, notify=ignore)


def _recognize(path: Path) -> None:
    recognizer = open_recognizer(path, num_threads=1)
    side, channels = recognizer.policy.side, recognizer.policy.channels
    recognizer.predict(np.zeros((side, side, channels), np.uint8))


OPENERS: dict[str, Callable[[Path], Any]] = {
    "arrays": lambda path: read_arrays(str(path), [path]),
    "backbone": lambda path: foreign_backbone(find_foreign(path), 1),
    "config": workflow.train_from_file,
    "examples": read_examples,
    "export": export_run,
    "history": read_history,
    "inspect": inspect_network,
    "recognizer": _recognize,
    "resume": workflow.resume,
    "start": _start,
    "summary": read_summary,
    "torch": open_torch,
}

_NEVER = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "socket.bind")
_NEVER += ("pickle.find_class", "ctypes.dlopen", "os.startfile", "webbrowser.open")
_OF_PYTHON = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]), "<frozen", "<string>", "<__array_function__")
NEW_RUNS = "runs"  # where a run folder is made, and removed again when there is nothing in it
events: list[str] = []
is_watching = False


def watch(event: str, words: tuple[Any, ...]) -> None:
    if not is_watching:
        return
    if (
        event in _NEVER
        or (event == "import" and str(words[0]).startswith(MODULE))
        or (event == "shutil.rmtree" and Path(words[0]).parts[:1] != (NEW_RUNS,))
    ):
        events.append(f"{event} {words!r}"[:200])
    elif event == "exec" and not words[0].co_filename.startswith(_OF_PYTHON):
        events.append(f"exec {words[0]!r}"[:200])
    elif event == "compile" and not _of_literals():
        events.append(f"compile {words!r}"[:200])


def _of_literals() -> bool:
    """Whether numpy reads a header: ``ast.literal_eval`` makes a tree, and nothing that could run."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "literal_eval" or frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def megabytes(key: str) -> float:
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith(key)) / 1024


def opened(opener: str, path: Path) -> dict[str, Any]:
    global is_watching  # noqa: PLW0603 - a hook cannot be taken off
    events.clear()
    Path("/proc/self/clear_refs").write_text("5")
    before, began, error = megabytes("VmRSS"), time.process_time(), None
    is_watching = True
    try:
        OPENERS[opener](path)
    except BaseException as raised:  # noqa: BLE001 - whatever comes is told
        error = raised
    is_watching = False
    return {
        "seconds": time.process_time() - began,
        "megabytes": megabytes("VmHWM") - before,
        "kinds": [] if error is None else [each.__name__ for each in type(error).__mro__],
        "text": "" if error is None else str(error),
        "events": list(events),
    }


def main() -> None:
    torch.set_num_threads(1)
    sys.path.insert(0, str(Path.cwd()))
    sys.addaudithook(watch)
    for name, opener, path in json.loads(Path(sys.argv[1]).read_text()):
        found = opened(opener, Path(path))
        sys.stdout.write(json.dumps({"name": name, **found}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
