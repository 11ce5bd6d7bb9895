"""What is installed is what was reviewed: the lock file, what asks for known faults in it, and the list of parts."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from distributions import needed

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
EXTRAS = ("train", "pretrained", "serve", "tables", "heic")
# What the index's torch brings on Linux and the processor's own does not, and a package for Windows.
OF_OTHERS = re.compile(r"nvidia-[\w-]+|cuda-[\w-]+|triton|colorama")
TOOLS = os.pathsep.join([str(ROOT / ".venv" / "release" / "bin"), os.environ.get("PATH", "")])


def locked() -> dict[str, tuple[Requirement, list[str]]]:
    """Name -> the requirement, and the digests of its files."""
    text = LOCK.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = {}
    for line in lines:
        words = line.split(" --hash=")
        requirement = Requirement(words[0])
        found[canonicalize_name(requirement.name)] = requirement, [word.strip() for word in words[1:]]
    assert len(found) == len(lines)
    return found


def pinned(requirement: Requirement) -> str:
    operator, number = re.fullmatch(r"(==)([\w.]+)", str(requirement.specifier)).groups()
    assert operator == "=="
    return number


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_the_lock_has_the_versions_that_are_tested() -> None:
    tested = constraints()
    found = {name: pinned(requirement) for name, (requirement, _) in locked().items()}
    assert {name: number for name, number in found.items() if name in tested and tested[name] != number} == {}
    assert [name for name in found if name not in tested and not OF_OTHERS.fullmatch(name)] == []


def test_every_package_that_is_needed_here_is_locked_in_the_version_that_is_here() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = needed([*project["dependencies"], *(line for extra in EXTRAS for line in extras[extra])], "")
    found = locked()
    assert wanted - found.keys() == set()
    here = {name: version(name).partition("+")[0] for name in wanted}
    assert {name: number for name, number in here.items() if pinned(found[name][0]) != number} == {}


def test_every_package_has_digests_and_nothing_says_where_it_comes_from() -> None:
    for name, (requirement, digests) in locked().items():
        assert digests, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in digests), name
        assert len(set(digests)) == len(digests)
        assert requirement.url is None
    # Files of torch for four systems and Python 3.11 to 3.13, at the least.
    assert len(locked()["torch"][1]) >= 12
    assert not re.search(r"://|--index-url|--find-links|-i ", LOCK.read_text(encoding="utf-8"))


def test_pip_reads_the_lock_and_refuses_a_file_with_another_digest(tmp_path: Path) -> None:
    """A file that is named as a locked package, with other bytes: pip says so and installs nothing."""
    name = f"tomli_w-{pinned(locked()['tomli-w'][0])}-py3-none-any.whl"
    (tmp_path / name).write_bytes(b"not what was reviewed")
    text = LOCK.read_text(encoding="utf-8")
    one = re.search(r"^tomli-w==.*\n(?: +--hash.*\n)+", text, flags=re.MULTILINE)[0]
    (tmp_path / "one.lock").write_text(one, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-index", "--find-links", str(tmp_path)]
    command += ["--require-hashes", "-d", str(tmp_path / "taken"), "-r", str(tmp_path / "one.lock")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


# --- known faults

NONE = [{"name": name, "version": "1", "vulns": []} for name in ("one", "two")]
FAULT = {"name": "two", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": []}]}
SKIPPED = {"name": "two", "skip_reason": "could not be audited"}


def stand_in(folder: Path, answer: object, code: int) -> Path:
    """A program in the place of pip-audit that writes an answer where it is told, and ends with a code."""
    path = folder / "pip-audit"
    write = f"Path(sys.argv[sys.argv.index('--output') + 1]).write_text({json.dumps(answer)!r})" if answer else "pass"
    path.write_text(f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n{write}\nsys.exit({code})\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def audit(program: Path | str, lock: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "audit.py"), str(program), str(lock)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("answer", "code", "expected", "said"),
    [
        ({"dependencies": NONE}, 0, 0, "2 packages looked up, 0 with known faults"),
        ({"dependencies": [NONE[0], FAULT]}, 1, 1, "two: PYSEC-1"),
        # pip-audit itself ends with 0 where it has skipped everything.
        ({"dependencies": [NONE[0], SKIPPED]}, 0, 2, "not audited: 1 of 2"),
        ({"dependencies": [SKIPPED, FAULT]}, 1, 1, "two: PYSEC-1"),
        ({"dependencies": []}, 0, 2, "not audited: 2 of 2"),
        ({"something": "else"}, 0, 2, "not audited: 2 of 2"),
        (None, 0, 2, "not audited: 2 of 2"),
        (None, 1, 2, "not audited: 2 of 2"),
    ],
)
def test_no_answer_is_no_proof(answer: object, code: int, expected: int, said: str, tmp_path: Path) -> None:
    lock = tmp_path / "two.lock"
    lock.write_text("one==1 \\\n    --hash=sha256:0\ntwo==1 \\\n    --hash=sha256:1\n", encoding="utf-8")
    done = audit(stand_in(tmp_path, answer, code), lock)
    assert (done.returncode, said in done.stdout) == (expected, True), done.stdout + done.stderr


def test_without_pip_audit_or_packages_nothing_is_audited(tmp_path: Path) -> None:
    done = audit(tmp_path / "nowhere", LOCK)
    assert done.returncode == 2
    assert "not audited" in done.stdout
    empty = tmp_path / "empty.lock"
    empty.write_text("", encoding="utf-8")
    assert audit(stand_in(tmp_path, {"dependencies": []}, 0), empty).returncode == 2


def tool(name: str) -> str:
    found = shutil.which(name, path=TOOLS)
    if found is None:
        pytest.skip(f"{name} is not installed: make audit or make sbom installs it")
    return found


def test_with_the_network_closed_the_real_one_has_not_audited() -> None:
    program = tool("pip-audit")
    wall = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*wall, "true"], check=False, capture_output=True).returncode:
        pytest.skip("closing the network is not allowed here")
    command = [*wall, sys.executable, str(ROOT / "scripts" / "audit.py"), program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert f"not audited: {len(locked())} of {len(locked())} packages" in done.stdout


def test_the_list_of_parts_names_every_locked_package(tmp_path: Path) -> None:
    program, out = tool("cyclonedx-py"), tmp_path / "parts.json"
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nsbom:")[2].partition("\n\n")[0]
    words = re.search(r"cyclonedx-py (.*)", recipe.replace("\\\n", " "))[1].split()
    words[words.index("--output-file") + 1] = str(out)
    done = subprocess.run([program, *words], cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    parts = json.loads(out.read_text(encoding="utf-8"))
    assert (parts["bomFormat"], parts["specVersion"]) == ("CycloneDX", "1.6")
    found = {canonicalize_name(one["name"]): one["version"] for one in parts["components"]}
    assert found == {name: pinned(requirement) for name, (requirement, _) in locked().items()}
