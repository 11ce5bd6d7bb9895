"""The rules of the house as functions: a package folder in, complaints out. test_architecture.py applies them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from house_plan import GROUND_FLOOR, GROUND_OF, MAY_IMPORT, OPTIONAL, SLOW, USED_BY

BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "core", "base", "misc", "manager"}
CODE_CARRIERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "pickletools"}
CODE_CARRIERS |= {"runpy", "code", "codeop", "imp", "yaml", "ruamel", "builtins", "pty"}
# Names that an import could hide under others.
CODE_NAMES = {"torch.load", "torch.save", "torch.jit", "torch.package", "torch.hub", "os.system", "importlib.reload"}
CODE_NAMES |= {"importlib.machinery", "importlib.abc", "ast.literal_eval", "numpy.load", "json.loads", "json.load"}
# Modules that may import what a variable names, all but one out of a table of their own. ``nets.catalogue`` imports the
# user's own network, where the user has named it.
IMPORTS_BY_NAME = ("", "images.raster", "nets.catalogue")
# Calls that read what may be anybody's -> the modules that make them, each after the check that belongs before it.
DOORS: dict[str, tuple[str, ...]] = {
    "json.load": (),
    # Rows of tables; what a process or a record of our own says.
    "json.loads": (
        "untrusted",
        "images.sources.table_files",
        "images.worker",
        "export",
        "exporting.one_run",
        "web.telling",
    ),
    "tomllib.load": (),
    "tomllib.loads": ("untrusted", "texts"),
    "safe_open": ("training.checkpoint",),
    "load_file": (),
    "onnx.load": ("export",),
    "onnx.load_model_from_string": (
        *("counting.onnx_graph", "export", "exporting.one_run", "exporting.source", "novelty.graph"),
        *("pretrained.foreign", "pretrained.joining", "pretrained.published"),
    ),
    "onnxruntime.InferenceSession": ("onnx_file.running",),
    "Session": (),
    "np.load": ("evidence.nearest", "images.cache", "web.showing"),
    "np.fromfile": (),
    "h5py.File": ("images.sources.array_files",),
}
_CHECKED = "sound_json_in"
# The one module with one call of torch.load: weights from a package, their digest checked before.
READS_PICKLED_WEIGHTS = "nets.pretrained"
MAX_FILE_LINES = 400
MAX_BODY_LINES = 40


@dataclass(frozen=True)
class Import:
    """One imported dotted name, its line, and whether importing the module already imports it."""

    target: str
    line: int
    is_at_top: bool


@dataclass(frozen=True)
class Module:
    """One source file; ``name`` is dotted, without the package's own name."""

    name: str
    path: Path
    tree: ast.Module
    num_lines: int

    @property
    def part(self) -> str:
        return self.name.split(".")[0]

    def imports(self) -> Iterator[Import]:
        for node, is_at_top in _walk(self.tree, is_at_top=True):
            for target in _targets(node):
                yield Import(target, node.lineno, is_at_top)


@cache
def modules(package: Path) -> list[Module]:
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found.append(Module(name, path, ast.parse(text), text.count("\n")))
    return found


def _walk(node: ast.AST, *, is_at_top: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, is_at_top
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(child, is_at_top=is_at_top and not is_function)


def _targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        start = "." * node.level + (node.module or "")
        return [f"{start}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__") and node.args:
        literal = node.args[0]
        return [literal.value] if isinstance(literal, ast.Constant) and isinstance(literal.value, str) else []
    return []


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _known(everything: list[Module]) -> set[str]:
    """Dotted names of all modules and of the folders they lie in."""
    parts = [module.name.split(".") for module in everything]
    return {".".join(name[:depth]) for name in parts for depth in range(1, len(name) + 1)}


def _ours(package: Path, target: str, known: set[str]) -> str | None:
    """Returns the module of ours that ``target`` names ("" for the package itself), None for one of others."""
    head, _, rest = target.partition(".")
    if head != package.name:
        return None
    while rest and rest not in known:
        rest = rest.rpartition(".")[0]
    return rest


def _begins(name: str, prefixes: Iterable[str]) -> bool:
    return any(prefix == "*" or name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def direction(package: Path) -> list[str]:
    """Every import of ours follows the table, is absolute, and every part has a row."""
    complaints = []
    everything = modules(package)
    known = _known(everything)
    for module in everything:
        if module.part not in MAY_IMPORT:
            complaints.append(f"{module.name}: '{module.part}' has no row in MAY_IMPORT")
            continue
        ground = GROUND_OF.get(module.part, GROUND_FLOOR)
        for item in module.imports():
            where = f"{module.name}:{item.line}"
            if item.target.startswith("."):
                complaints.append(f"{where}: relative import of '{item.target}'")
                continue
            ours = _ours(package, item.target, known)
            if ours and not _begins(ours, (module.part, *ground, *MAY_IMPORT[module.part])):
                complaints.append(f"{where}: {module.part} may not import {ours}")
    return complaints


def cycles(package: Path) -> list[str]:
    """No module needs itself to be imported, through whatever chain."""
    everything = modules(package)
    known = _known(everything)
    needs = {
        module.name: {
            ours
            for item in module.imports()
            if item.is_at_top and (ours := _ours(package, item.target, known)) and ours != module.name
        }
        for module in everything
    }
    done: set[str] = set()
    complaints: list[str] = []

    def visit(name: str, chain: tuple[str, ...]) -> None:
        if name in chain:
            complaints.append("cycle: " + " -> ".join((*chain[chain.index(name) :], name)))
        elif name not in done:
            for other in sorted(needs.get(name, ())):
                visit(other, (*chain, name))
            done.add(name)

    for name in sorted(needs):
        visit(name, ())
    return complaints


def packages_of_others(package: Path) -> list[str]:
    """Packages of others are imported where the table says, optional and slow ones when needed."""
    complaints = []
    for module in modules(package):
        for item in module.imports():
            other = item.target.split(".")[0]
            where = f"{module.name}:{item.line}"
            if other in USED_BY and not _begins(module.name, USED_BY[other]):
                complaints.append(f"{where}: {other} is imported by {', '.join(USED_BY[other])} only")
            elif item.is_at_top and (other in OPTIONAL or (other in SLOW and module.part in ("cli", "demo"))):
                complaints.append(f"{where}: {other} is imported inside the function that needs it")
    return complaints


def sizes(package: Path) -> list[str]:
    """Files of at most 400 lines, functions with a body of at most 40 (docstring not counted)."""
    complaints = []
    for module in modules(package):
        if module.num_lines > MAX_FILE_LINES:
            complaints.append(f"{module.path.name}: {module.num_lines} lines, {MAX_FILE_LINES} at most")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                if length > MAX_BODY_LINES:
                    complaints.append(f"{module.name}.{node.name}: {length} lines, {MAX_BODY_LINES} at most")
    return complaints


def names(package: Path) -> list[str]:
    """No file or folder has a name that says nothing."""
    return [
        f"{path.relative_to(package)}: which idea is it?"
        for path in sorted(package.rglob("*"))
        if path.stem.strip("_") in BANNED_NAMES and "__pycache__" not in path.parts
    ]


def code_from_data(package: Path) -> list[str]:
    """Nothing that is read can run: no pickle under any name, no eval."""
    complaints = []
    for module in modules(package):
        for item in module.imports():
            if item.target.split(".")[0] in CODE_CARRIERS or _begins(item.target, CODE_NAMES):
                complaints.append(f"{module.name}:{item.line}: import of {item.target}")
        num_allowed = 1 if module.name == READS_PICKLED_WEIGHTS else 0
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call) or not (what := _unsafe(node) or _unnamed(node, module.name)):
                continue
            is_weights_only = any(keyword.arg == "weights_only" for keyword in node.keywords)
            if num_allowed and what.startswith("torch.load") and is_weights_only:
                num_allowed -= 1
            else:
                complaints.append(f"{module.name}:{node.lineno}: {what}")
    return complaints


def _unsafe(node: ast.Call) -> str:
    called = ast.unparse(node.func)
    for keyword in node.keywords:
        if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
            return "allow_pickle"
        if keyword.arg == "weights_only" and ast.unparse(keyword.value) != "True":
            return "weights_only is not True"
    if called in ("np.load", "numpy.load") and not any(keyword.arg == "allow_pickle" for keyword in node.keywords):
        return f"{called}() does not say allow_pickle=False"
    if called.split(".")[-1] in ("exec_module", "load_module", "spec_from_file_location", "find_class", "literal_eval"):
        return f"{called}()"
    if called in ("eval", "exec", "compile", "__import__", "os.system", "os.popen", "builtins.eval", "builtins.exec"):
        return f"{called}()"
    if called in ("torch.load", "torch.save", "torch.jit.load", "yaml.load", "yaml.unsafe_load"):
        return f"{called}() reads or writes pickle"
    return ""


def _unnamed(node: ast.Call, module: str) -> str:
    """An import of what a variable names, in a module that may not."""
    is_import = _called(node) in ("import_module", "__import__")
    is_literal = bool(node.args) and isinstance(node.args[0], ast.Constant)
    return "" if not is_import or is_literal or module in IMPORTS_BY_NAME else "imports what a variable names"


def doors(package: Path) -> list[str]:
    """What may be anybody's is read in few places, and records only after their text was checked."""
    complaints = []
    for module in modules(package):
        for node in ast.walk(module.tree):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            where = f"{module.name}:{getattr(node, 'lineno', 0)}"
            if called in DOORS and module.name not in DOORS[called]:
                complaints.append(f"{where}: {called}() only in {', '.join(DOORS[called]) or 'no module'}")
            elif called.endswith(".model_validate_json") and _CHECKED not in ast.unparse(node):
                complaints.append(f"{where}: {called}() of what {_CHECKED} has not seen")
    return complaints


def handed_on(package: Path) -> list[str]:
    """The __init__ of a folder only hands names on, and lists each in ``__all__``."""
    complaints = []
    for module in modules(package):
        if module.path.name != "__init__.py" or not module.name:
            continue
        body = [node for node in module.tree.body if not isinstance(node, ast.Expr)]
        imports = [node for node in body if isinstance(node, ast.ImportFrom) and node.module != "__future__"]
        imported = {alias.asname or alias.name for node in imports for alias in node.names}
        assigned = [node for node in body if not isinstance(node, ast.Import | ast.ImportFrom)]
        listed = {name for node in assigned for name in _listed(node)}
        if imported != listed or any(not _listed(node) for node in assigned):
            complaints.append(f"{module.name}: hands on {sorted(imported)}, lists {sorted(listed)}")
    return complaints


def _listed(node: ast.stmt) -> list[str]:
    is_all = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    return ast.literal_eval(node.value) if isinstance(node, ast.Assign) and is_all else []


def prints(package: Path) -> list[str]:
    """Only cli's terminal speaks."""
    complaints = []
    for module in modules(package):
        if module.name == "cli.terminal":
            continue
        for node in ast.walk(module.tree):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("print", "sys.stdout.write", "sys.stderr.write", "warnings.warn", "input"):
                complaints.append(f"{module.name}:{node.lineno}: {called}()")
    return complaints
