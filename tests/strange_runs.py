"""Run folders and data that a stranger could send: files of a whole run, one of them changed."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from golden_runs import DIGITS, ENDED, GOLDEN, STOPPED, formats
from strange_tensors import Marked, pickles, untrue_headers

MODULE = "stranger_module"
Payload = tuple[str, str, Path, str]
CODE = (
    f"{MODULE}:build",
    "os:abort",
    "stranger_module.deep:x",
    "a b:c",
    "whyconv.cli:main",
    f"{MODULE}:b; touch m",
    ":",
)


def write_module(folder: Path, marker: Path) -> None:
    """Code that makes the marker when it is imported, where Python looks for it first."""
    (folder / f"{MODULE}.py").write_text(f"open({str(marker)!r}, 'w')\ndef build(**sizes): raise SystemExit\n")


def copies(folder: Path, which: str) -> Callable[[str], Path]:
    """Gives copies of a run of this version, each in a folder of its own."""

    def copy(name: str) -> Path:
        place = folder / name
        shutil.copytree(GOLDEN / formats() / which, place)
        return place

    return copy


def described(run: Path, **changes: Any) -> Path:
    """Changes what a run says of its network; without a digest, as a stranger can."""
    said = json.loads((run / "network.json").read_text()) | changes
    said = {key: value for key, value in said.items() if "digest" not in key}  # a stranger can leave it out
    (run / "network.json").write_text(json.dumps(said))
    return run


def code_by_name(folder: Path) -> Iterator[Payload]:
    """Runs whose network is code that is named only."""
    ended, stopped = copies(folder / "ended", ENDED), copies(folder / "stopped", STOPPED)
    for number, name in enumerate(CODE):
        run = ended(f"{number}")
        plan = (run / "run.toml").read_text().replace('name = "lesson"', f"name = {json.dumps(name)}")
        (run / "run.toml").write_text(plan)
        for opener in ("torch", "export", "resume"):
            yield f"code-{opener}-{name}", opener, described(run, network=name), "refused"
        run = stopped(f"{number}")
        (run / "run.toml").write_text(plan)
        yield f"code-go-on-{name}", "resume", run, "refused"
        yield f"code-config-{name}", "config", run / "run.toml", "refused"


def descriptions(folder: Path) -> Iterator[Payload]:
    """``network.json`` that asks for too much, or says two things."""
    ended = copies(folder, ENDED)
    asked: dict[str, dict[str, Any]] = {
        "members": {"members": 10**9},
        "side": {"side": 10**9},
        "big-network": {"network": "vgg16", "side": 4096},
        "widths": {"network": "plain", "widths": [65_536] * 60},
        "many-widths": {"network": "plain", "widths": [1] * 100_000},
        "window": {"window": 10**9},
        "unknown": {"network": "../../etc/passwd"},
        "one-class": {"classes": ["a"]},
        "more-classes": {"classes": [f"{k}" for k in range(90_000)]},
        "no-policy": {"policy": None},
        "long-class": {"classes": ["a" * 100_000, "b"]},
        "temperature": {"temperature": 0},
        "classes-are-text": {"classes": "01"},
    }
    for name, changes in asked.items():
        yield f"description-{name}", "torch", described(ended(name), **changes), "refused"
    for name, text in {
        "deep": "[" * 1_000_000,
        "list": "[]",
        "twice": '{"network": "lesson", "network": "plain"}',
        "20-MB": '{"network": "' + "a" * 20_000_000 + '"}',
        "million-values": "[" + "{}," * 1_000_000 + "{}]",
        "cut": '{"network": ',
        "empty": "",
    }.items():
        run = ended(f"text-{name}")
        (run / "network.json").write_text(text)
        yield f"description-{name}", "torch", run, "refused"
        yield f"inspected-{name}", "inspect", run, "refused"


def plans(folder: Path) -> Iterator[Payload]:
    """``run.toml`` that is out of bounds."""
    stopped = copies(folder, STOPPED)
    plan = (GOLDEN / formats() / STOPPED / "run.toml").read_text()
    for name, text in {
        "5-MB": "# " + "a" * 5_000_000 + "\n" + plan,
        "deep": "a = " + "[" * 100_000,
        "deep-tables": "a = " + "{a = " * 100_000,
        "long-key": ".".join("a" * 200_000) + " = 1",
        "long-quoted-key": ".".join(['"a"'] * 200_000) + " = 1",
        "long-table": "[" + ".".join("a" * 200_000) + "]",
        "twice": plan + "\n[network]\n",
        "not-utf-8": plan + "\udcff",
        "code": plan + '\n[more]\n"!!python/object/apply:os.system" = "id"\n',
        "threads": plan.replace("threads = 1", "threads = 1000000"),
        "seed": plan.replace("seed = 0", "seed = -1"),
        "side": plan.replace("side = 6", "side = 1000000"),
        "members": plan.replace("members = 1", "members = 1000000"),
    }.items():
        run = stopped(name)
        (run / "run.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
        yield f"plan-{name}", "resume", run, "refused"


def weights(folder: Path, marker: Path) -> Iterator[Payload]:
    """Pickles and untrue headers in place of the weights and of the state of a run, and as a file to start from."""
    named = [(f"{name}{ending}", content) for name, content in pickles(marker) for ending in (".safetensors", ".pt")]
    named += [(f"{name}.safetensors", content) for name, content in untrue_headers()]
    for name, content in named:
        (folder / name).write_bytes(content)
        yield f"start-{name}", "start", folder / name, "refused"
    ended, stopped = copies(folder / "ended", ENDED), copies(folder / "stopped", STOPPED)
    for name, content in pickles(marker):
        run = ended(name)
        (run / "model.safetensors").write_bytes(content)
        yield f"weights-{name}", "torch", run, "refused"
        yield f"end-{name}", "resume", run, "refused"
        run = stopped(name)
        next((run / "checkpoints").iterdir()).write_bytes(content)
        yield f"state-{name}", "resume", run, "refused"


def states(folder: Path) -> Iterator[Payload]:
    """States that are whole, and not those of such a training."""
    stopped = copies(folder, STOPPED)
    changes: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
        "no-progress": lambda tensors, progress: progress.clear(),
        "progress-is-text": lambda tensors, progress: progress.update(step="6", epoch=None),
        "no-best": lambda tensors, progress: [tensors.pop(each) for each in list(tensors) if each.startswith("best")],
        "optimizer-9999": lambda tensors, progress: tensors.update({f"optimizer.{'9' * 900}.a": torch.ones(1)}),
        "optimizer-word": lambda tensors, progress: tensors.update({"optimizer.__class__.a": torch.ones(1)}),
        "optimizer-shape": lambda tensors, progress: tensors.update({"optimizer.0.momentum_buffer": torch.ones(3, 3)}),
    }
    for name, change in changes.items():
        run = stopped(name)
        (path,) = (run / "checkpoints").iterdir()
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            progress = json.loads(file.metadata()["progress"])
        change(tensors, progress)
        save_file(tensors, path, {"progress": json.dumps(progress)})
        yield f"state-{name}", "resume", run, "refused"


def records(folder: Path, marker: Path) -> Iterator[Payload]:
    """The other files of a run: arrays that hold objects, and records that say two things."""
    ended = copies(folder, ENDED)
    bomb = np.array([Marked(marker)], dtype=object)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os').system('touch {marker}')}}"
    arrays = {
        "objects": pickle_free(bomb),
        "pickle": pickle.dumps(Marked(marker)),
        "huge": np_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 64), }"),
        "code": np_header(header),
        "objects-in-record": np_header("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }"),
    }
    for name, content in arrays.items():
        for which in ("features.npy", "thumbnails.npy"):
            run = ended(f"{name}-{which}")
            (run / which).write_bytes(content)
            yield f"{which}-{name}", "examples", run, "opens"
    for name, text in {"twice": '{"run": "a", "run": "b"}', "deep": "[" * 10**6, "20-MB": " " * 20_000_000}.items():
        run = ended(f"summary-{name}")
        (run / "summary.json").write_text(text)
        yield f"summary-{name}", "summary", run, "refused"
    for name, text in {"deep": "[" * 10**6, "list": "[1]", "words": '{"loss": "a"}', "nothing": '{"step": 1}'}.items():
        path = folder / f"history-{name}.jsonl"
        path.write_text(text + "\n")
        yield f"history-{name}", "history", path, "opens" if name == "deep" else "refused"


def pickle_free(array: np.ndarray) -> bytes:
    """An array of objects as numpy writes it: a pickle behind a header."""
    import io

    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def np_header(text: str) -> bytes:
    padded = text.ljust(-(-(len(text) + 11) // 64) * 64 - 11).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


def pictures(folder: Path, marker: Path, secret: Path) -> Iterator[Payload]:
    """Sets of pictures that hold objects, or lie in other files."""
    import h5py

    bomb = np.array([Marked(marker)] * 4, dtype=object)
    np.save(folder / "x.npy", bomb, allow_pickle=True)
    np.savez(folder / "x.npz", x=bomb, y=np.arange(4))
    np.savez_compressed(folder / "packed.npz", x=bomb, y=np.arange(4))
    with h5py.File(folder / "outside.h5", "w") as file:
        file.create_dataset("x", (4, 8), "u1", external=[(str(secret), 0, 32)])
    with h5py.File(folder / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((4, 8), "u1")
        layout[:] = h5py.VirtualSource(str(secret), "x", (4, 8))
        file.create_virtual_dataset("x", layout)
    for name in ("x.npy", "x.npz", "packed.npz", "outside.h5", "virtual.h5"):
        yield f"pictures-{name}", "arrays", folder / name, "refused"


def digits() -> Path:
    """Where the pictures of the runs lie."""
    return GOLDEN / formats() / DIGITS
