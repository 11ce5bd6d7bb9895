"""Who may import whom, what stays free of torch, how long a file may be: rules, and proof that each can fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import house_plan
import house_rules
import whyconv
from command_line import VERBS

PACKAGE = Path(whyconv.__file__).parent
RULES = (
    house_rules.direction,
    house_rules.cycles,
    house_rules.packages_of_others,
    house_rules.sizes,
    house_rules.names,
    house_rules.code_from_data,
    house_rules.doors,
    house_rules.prints,
    house_rules.handed_on,
)
# Not there after `pip install whyconv`, or too slow for what must answer at once.
NOT_IN_CORE = (
    *("torch", "onnx", "onnxscript", "safetensors", "sklearn", "scipy", "matplotlib", "jinja2", "pyarrow", "h5py"),
    *("pillow_heif", "starlette", "uvicorn", "ray", "fsspec", "pytest", "hypothesis"),
)
REFUSE = """
import importlib, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"refused: {{name}}", name=name)
sys.meta_path.insert(0, Refuse())
"""


def python_without(refused: tuple[str, ...], code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs ``code`` in a new interpreter that cannot import the ``refused`` packages."""
    command = [sys.executable, "-c", REFUSE.format(refused=refused) + code, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule: Callable[[Path], list[str]]) -> None:
    assert rule(PACKAGE) == []


PLANTED = {
    "wrong direction": (house_rules.direction, {"images/a.py": "from whyconv.nets import plain", "nets/plain.py": ""}),
    "part without a row": (house_rules.direction, {"helpful.py": ""}),
    "relative import": (house_rules.direction, {"images/a.py": "from . import b", "images/b.py": ""}),
    "ground floor half closed": (house_rules.direction, {"report/a.py": "import whyconv.settings", "settings.py": ""}),
    "hidden in a function": (
        house_rules.direction,
        {"nets/a.py": "def f():\n import whyconv.images", "images/b.py": ""},
    ),
    "named by a string": (
        house_rules.direction,
        {"nets/a.py": "import importlib\nimportlib.import_module('whyconv.cli')", "cli.py": ""},
    ),
    "cycle": (
        house_rules.cycles,
        {"images/a.py": "import whyconv.images.b", "images/b.py": "from whyconv.images import a"},
    ),
    "torch in images": (house_rules.packages_of_others, {"images/a.py": "def f():\n    import torch.nn"}),
    "torch at the top of cli": (house_rules.packages_of_others, {"cli.py": "import torch"}),
    "optional at the top": (house_rules.packages_of_others, {"images/sources/a.py": "import pyarrow.csv"}),
    "long file": (house_rules.sizes, {"images/a.py": "\n" * 401}),
    "long function": (house_rules.sizes, {"images/a.py": "def f():\n" + "    f()\n" * 41}),
    "empty name": (house_rules.names, {"images/utils.py": ""}),
    "pickle": (house_rules.code_from_data, {"images/a.py": "from pickle import loads"}),
    "eval": (house_rules.code_from_data, {"images/a.py": "eval('1')"}),
    "pickled arrays": (house_rules.code_from_data, {"images/a.py": "np.load(path, allow_pickle=True)"}),
    "torch.load": (house_rules.code_from_data, {"nets/a.py": "torch.load(path, weights_only=True)"}),
    "unsafe weights": (house_rules.code_from_data, {"nets/pretrained.py": "torch.load(path, weights_only=False)"}),
    "weights by default": (house_rules.code_from_data, {"nets/pretrained.py": "torch.load(path)"}),
    "twice": (house_rules.code_from_data, {"nets/pretrained.py": "torch.load(a, weights_only=True)\n" * 2}),
    "numpy's default": (house_rules.code_from_data, {"images/a.py": "np.load(path)"}),
    "another name": (house_rules.code_from_data, {"nets/a.py": "from torch import load"}),
    "code of a file": (house_rules.code_from_data, {"nets/a.py": "loader.exec_module(module)"}),
    "shell": (house_rules.code_from_data, {"nets/a.py": "os.system('true')"}),
    "module by variable": (house_rules.code_from_data, {"web/a.py": "importlib.import_module(values['network'])"}),
    "yaml": (house_rules.code_from_data, {"settings.py": "import yaml"}),
    "unbounded JSON": (house_rules.doors, {"web/a.py": "json.loads(path.read_text())"}),
    "unbounded TOML": (house_rules.doors, {"web/a.py": "tomllib.loads(path.read_text())"}),
    "unchecked record": (house_rules.doors, {"web/a.py": "Why.model_validate_json(path.read_bytes())"}),
    "unchecked weights": (house_rules.doors, {"nets/a.py": "safe_open(path, 'pt')"}),
    "unbounded session": (house_rules.doors, {"web/a.py": "onnxruntime.InferenceSession(content)"}),
    "unchecked graph": (house_rules.doors, {"web/a.py": "onnx.load_model_from_string(content)"}),
    "print": (house_rules.prints, {"images/a.py": "print(1)"}),
    "name not listed": (
        house_rules.handed_on,
        {"images/__init__.py": "from whyconv.images.a import A, B\n__all__ = ['A']"},
    ),
    "code in a list of names": (house_rules.handed_on, {"images/__init__.py": "def f(): pass"}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str, tmp_path: Path) -> None:
    rule, files = PLANTED[name]
    assert len(rule(plant(tmp_path, files))) == 1


def test_what_the_table_allows_passes(tmp_path: Path) -> None:
    package = plant(
        tmp_path,
        {
            "nets/layers.py": "import torch\nfrom whyconv import __version__, errors",
            "measures/trace.py": "from whyconv.nets.layers import Local",
            "cli/terminal.py": "print(1)",
            "cli/runs.py": "import typer\ndef train():\n    from whyconv.nets import layers\n    return layers",
            "nets/pretrained.py": "torch.load(path, weights_only=True)",
            "errors.py": "",
        },
    )
    assert [complaint for rule in RULES for complaint in rule(package)] == []


def plant(folder: Path, files: dict[str, str]) -> Path:
    package = folder / "whyconv"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


IMPORT_ALL = "for name in sys.argv[1:]:\n    importlib.import_module(name)"


def modules_of(*parts: str) -> list[str]:
    found = [module for module in house_rules.modules(PACKAGE) if module.part in parts]
    return [f"whyconv.{module.name}" if module.name else "whyconv" for module in found]


def test_the_torch_free_half_imports_with_core_packages_only() -> None:
    names = modules_of(*(part for part in house_plan.TORCH_FREE if part != "web"), "", "cli")
    assert len(names) > 10
    done = python_without(NOT_IN_CORE, IMPORT_ALL, *names)
    assert done.returncode == 0, done.stderr


def test_the_server_imports_with_its_own_extra_only() -> None:
    refused = tuple(name for name in NOT_IN_CORE if name not in ("starlette", "uvicorn"))
    done = python_without(refused, IMPORT_ALL, *modules_of("web"))
    assert done.returncode == 0, done.stderr


def test_a_refused_package_is_noticed() -> None:
    done = python_without(("json",), "import json.decoder")
    assert done.returncode == 1
    assert "refused: json" in done.stderr


HELP = """
from whyconv.cli import main
for verb in sys.argv[1:]:
    sys.argv = ["whyconv", *verb.split(), "--help"]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def test_help_of_every_verb_needs_core_packages_only() -> None:
    done = python_without((*NOT_IN_CORE, "onnxruntime"), HELP, "", *VERBS)
    assert done.returncode == 0, done.stderr
    assert all(verb in done.stdout for verb in VERBS)
