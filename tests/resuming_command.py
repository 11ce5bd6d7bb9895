"""``whyconv train --resume RUN``, which waits until so many others were refused, so that all of them meet.

    python resuming_command.py RUN REFUSED COUNT

Loading torch takes seconds, and more or less of them: without a wait the first could be done before the last begins.
Who is refused leaves a file in the folder REFUSED.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from whyconv import workflow
from whyconv.cli import main

run, refused, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
real = workflow.material_of


def wait(*given: object) -> object:
    while len(list(refused.iterdir())) < count:
        time.sleep(0.05)
    return real(*given)  # type: ignore[arg-type]


workflow.material_of = wait  # type: ignore[assignment]
try:
    main(["train", "--resume", run])
except SystemExit as end:
    if end.code:
        (refused / str(os.getpid())).touch()
    raise
