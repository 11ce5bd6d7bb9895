"""Asks pip-audit for known faults in every package of requirements.lock.

Exit code 0: all were looked up, and none has a known fault. 1: some have; they are listed. 2: not audited, because some
could not be looked up, whatever pip-audit itself made of that: no answer is no proof.

    scripts/audit.py [PIP-AUDIT [LOCK]]
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"


def locked(text: str) -> set[str]:
    """Names of the packages in a lock file."""
    return {name.lower() for name in re.findall(r"^([\w.-]+)==", text, flags=re.MULTILINE)}


def asked(program: str, lock: Path) -> tuple[list[dict[str, Any]], str]:
    """What pip-audit found about each package, and the last line it said."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "audit.json"
        options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
        command = [program, *options, "--requirement", str(lock), "--output", str(answer)]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
        except (OSError, subprocess.TimeoutExpired) as error:
            return [], str(error)
        said = (done.stderr.strip().splitlines() or [""])[-1]
        try:
            return json.loads(answer.read_text(encoding="utf-8"))["dependencies"], said
        except (OSError, ValueError, KeyError):
            return [], said


def main(program: str = "pip-audit", lock: str | Path = _LOCK) -> int:
    """Prints what was found; returns the exit code."""
    wanted = locked(Path(lock).read_text(encoding="utf-8"))
    found, said = asked(program, Path(lock))
    known = {one["name"].lower(): one["vulns"] for one in found if "vulns" in one}
    faulty = {name: vulns for name, vulns in sorted(known.items()) if vulns}
    for name, vulns in faulty.items():
        print(f"{name}: {', '.join(vuln['id'] for vuln in vulns)}")
    missing = sorted(wanted - known.keys())
    if missing or not wanted:
        print(f"not audited: {len(missing)} of {len(wanted)} packages could not be looked up. {said}")
        return 1 if faulty else 2
    print(f"{len(wanted)} packages looked up, {len(faulty)} with known faults")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
