"""Saves states as a training does, with nothing of torch: the process that a fault is put into.

    python saving_process.py FOLDER NUMBER CONTENT [CONTENT ...]

Saves the contents as states NUMBER, NUMBER + 1, ... Between what is loaded and the first save it asks for a file
``begin``, which is not there: in a trace of system calls, what comes after it belongs to saving. What the disk does not
take is said on stderr, with exit code 1.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from whyconv import files
from whyconv.errors import StorageError
from whyconv.training.rotation import forget_older, state_path


def main() -> None:
    folder, number, *names = sys.argv[1:]
    contents = [Path(name).read_bytes() for name in names]
    os.access("begin", os.F_OK)
    try:
        for step, content in enumerate(contents, int(number)):
            files.write_bytes(state_path(Path(folder), step), content)
            forget_older(Path(folder))
    except StorageError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
