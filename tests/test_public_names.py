"""The public surface is small, listed by hand, and loaded only when asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import whyconv

PACKAGE = Path(whyconv.__file__).parent
FOLDERS = sorted(
    f"whyconv.{'.'.join(path.parent.relative_to(PACKAGE).parts)}" for path in PACKAGE.glob("*/**/__init__.py")
)
PUBLIC = {
    *("DataError", "MissingExtraError", "ModelFileError", "ParityError", "PictureError", "SettingsError"),
    *("StoppedError", "StorageError", "UsageError", "WhyconvError"),
    *("PictureClassifier", "Recognizer", "check", "open", "train", "__version__"),
}


def test_the_package_has_these_names_and_no_others() -> None:
    assert set(whyconv.__all__) == PUBLIC
    assert set(dir(whyconv)) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_can_be_had_and_says_what_it_is(name: str) -> None:
    value = getattr(whyconv, name)
    assert isinstance(value, str) or value.__doc__


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'recognise'"):
        getattr(whyconv, "recognise")  # noqa: B009  (as a person would write it)


def test_importing_whyconv_loads_nothing_heavy() -> None:
    code = "import whyconv, sys; print(sorted({'torch', 'numpy', 'PIL', 'onnxruntime', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_lists_what_it_hands_on(folder: str) -> None:
    module = import_module(folder)
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    listed = getattr(module, "__all__", [])
    assert set(listed) == {name for name in imported if not name.startswith("_")}
