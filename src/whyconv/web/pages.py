"""The files of the page, as they lie in the package; what is not among them cannot be asked for."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from whyconv.files import digest_bytes
from whyconv.web.guard import ROUTE
from whyconv.web.refusals import missing

FOLDER = Path(__file__).with_name("page")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".json": "application/json",
}


def page_routes(folder: Path = FOLDER) -> list[Route]:
    """The routes ``/`` and ``/page/...``; the files are read once."""
    files = {
        path.relative_to(folder).as_posix(): (path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
    }

    async def page(request: Request) -> Response:
        request.scope[ROUTE] = "/page"
        name = request.path_params.get("file", "index.html")
        if name not in files:
            return missing("There is no such file of the page.").response()
        content, kind = files[name]
        tag = f'"{digest_bytes(content)}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Type": kind}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers)

    return [Route("/", page, methods=["GET"]), Route("/page/{file:path}", page, methods=["GET"])]
