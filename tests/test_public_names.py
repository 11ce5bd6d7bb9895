"""The names that whyconv hands out: all there, all documented, none of them costly until it is used."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import whyconv
from whyconv import errors

PUBLIC = {
    *(
        "DataError",
        "DecodeTimeoutError",
        "DivergedError",
        "LostProcessError",
        "MissingExtraError",
        "ModelFileError",
        "NewerFormatError",
        "ParityError",
        "PictureError",
        "SettingsError",
    ),
    "ArrayError",
    *("StoppedError", "StorageError", "UsageError", "WhyconvError"),
    *(
        "PictureClassifier",
        "Recognizer",
        "__version__",
        "allow_code",
        "check",
        "explain",
        "export_run",
        "inspect",
        "open",
        "open_torch",
        "train",
        "why",
    ),
}


def test_the_public_names_are_these() -> None:
    assert set(whyconv.__all__) == set(dir(whyconv)) == PUBLIC
    assert len(whyconv.__all__) == len(set(whyconv.__all__))


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(whyconv, name)
    assert value.__doc__


def test_every_error_is_public() -> None:
    tree = {errors.WhyconvError.__name__}
    pending = [errors.WhyconvError]
    while pending:
        children = [child for child in pending.pop().__subclasses__() if child.__module__ == errors.__name__]
        tree |= {child.__name__ for child in children}
        pending += children
    assert {name for name in PUBLIC if name.endswith("Error")} == tree


@pytest.mark.parametrize("name", sorted(name for name in PUBLIC if name.endswith("Error")))
def test_every_error_survives_the_way_out_of_another_process(name: str) -> None:
    kind = getattr(whyconv, name)
    made = {"MissingExtraError": ("Reading Parquet", "tables"), "DivergedError": ("J is nan.", [3, 1])}
    error = kind(*made.get(name, ("What is wrong.", 143) if name == "StoppedError" else ("What is wrong.",)))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.exit_code, vars(again)) == (str(error), error.exit_code, vars(error))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        whyconv.tarin  # noqa: B018


WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name, name="torch")
sys.meta_path.insert(0, Refuse())
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)


def test_importing_whyconv_loads_nothing_else() -> None:
    code = (
        "import sys, whyconv; print([name for name in ('torch', 'numpy', 'pydantic', 'typer') if name in sys.modules])"
    )
    assert run_python(code).stdout == "[]\n"


@pytest.mark.parametrize("name", ["open", "check", "explain", "inspect", "Recognizer", "WhyconvError"])
def test_the_half_that_uses_loads_no_torch(name: str) -> None:
    done = run_python(f"import sys, whyconv; whyconv.{name}; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["train", "why", "PictureClassifier", "allow_code", "export_run", "open_torch"])
def test_without_torch_the_line_that_installs_it_is_told(name: str) -> None:
    done = run_python(f"{WITHOUT_TORCH}import whyconv\nwhyconv.{name}")
    assert f"whyconv.{name} needs an optional package. Install it with:  pip install 'whyconv[train]'" in done.stderr
