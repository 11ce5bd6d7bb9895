"""The routes that only the page needs: pictures that training saw, and what the controls of the square do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from whyconv.counting.controls import draw_permutation_and_signs, multiply_coordinates
from whyconv.errors import ModelFileError
from whyconv.images.png import as_png_text
from whyconv.web.parameters import whole
from whyconv.web.refusals import missing
from whyconv.web.replies import json_reply
from whyconv.web.service import Service

_MOST_THUMBNAILS = 64
_LARGEST_SIDE = 32  # of a control square


async def thumbnails(request: Request, service: Service) -> Response:
    """Some of the pictures that training saw, evenly chosen, as PNG.

    Raises:
        Refusal: 404; there are none.
    """
    path = service.file("thumbnails.npy")
    if path is None:
        raise missing("There are no thumbnails.npy: a lone ONNX file has none. Serve the run folder.")
    number = whole(request, "count", 12, least=1, most=_MOST_THUMBNAILS)
    return json_reply(await asyncio.to_thread(_thumbnails, path, number))


async def controls(request: Request, service: Service) -> Response:
    """How the three controls of the run's square change a picture: the same draws as in the measurement.

    Raises:
        Refusal: 404; no square was measured.
    """
    del request
    found = service.json("why.json")
    protocol = (found.get("square") or {}).get("protocol") if isinstance(found, dict) else None
    if protocol is None:
        raise missing("No control square was measured. Make it with:  whyconv why RUN")
    return json_reply(_controls(protocol))


def _thumbnails(path: Path, number: int) -> dict[str, Any]:
    try:
        pictures = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelFileError("thumbnails.npy of this run is damaged.") from error
    if pictures.ndim != 4 or pictures.dtype != np.uint8:
        raise ModelFileError(f"thumbnails.npy of this run holds {pictures.dtype} {pictures.shape}, no pictures.")
    rows = np.unique(np.linspace(0, len(pictures) - 1, min(number, len(pictures))).round().astype(np.int64))
    pngs = [as_png_text(np.array(pictures[row])) for row in rows]
    return {"side": pictures.shape[1], "pngs": pngs}


def _controls(protocol: dict[str, Any]) -> dict[str, Any]:
    side, multiplier, seed = (int(protocol[name]) for name in ("side", "multiplier", "seed"))
    if not 0 < side <= _LARGEST_SIDE:
        raise ModelFileError(f"why.json of this run is damaged: side {side}.")
    permutation, signs = draw_permutation_and_signs(side, seed)
    return {
        "side": side,
        "multiplier": multiplier,
        "permuted": permutation.tolist(),
        "signs": signs.astype(int).tolist(),
        "multiplied": multiply_coordinates(side, multiplier).tolist(),
    }
