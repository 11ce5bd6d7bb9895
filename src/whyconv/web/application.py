"""From a request to its answer: the table of routes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from whyconv.errors import ModelFileError, UsageError, WhyconvError
from whyconv.web import looking, predicting, showing, telling
from whyconv.web.guard import ROUTE
from whyconv.web.pages import page_routes
from whyconv.web.refusals import ClientGoneError, Refusal
from whyconv.web.service import Service

Handler = Callable[[Request, Service], Awaitable[Response]]
_log = logging.getLogger("whyconv.web")

_GET: dict[str, Handler] = {
    "/v1/recognizer": telling.recognizer,
    "/v1/layers": telling.layers,
    "/v1/layers/{name}/weights": telling.weights,
    "/v1/count": telling.count,
    "/v1/why": telling.why,
    "/v1/texts": telling.texts,
    "/v1/thumbnails": showing.thumbnails,
    "/v1/controls": showing.controls,
    "/livez": telling.livez,
    "/readyz": telling.readyz,
    "/metrics": telling.metrics,
    "/openapi.json": telling.openapi,
}
_POST: dict[str, Handler] = {
    "/v1/predict": predicting.predict,
    "/v1/twin": predicting.twin,
    "/v1/prepared": looking.prepared,
    "/v1/maps": looking.maps,
    "/v1/units": looking.units,
    "/v1/steps": looking.steps,
    "/v1/explain": looking.explain,
}
WITH_PICTURES = frozenset(_POST)  # the routes whose requests bring pictures


def application(service: Service) -> Starlette:
    """The routes of one recognizer, without the guard before them.

    Args:
        service: What they answer from.
    """
    tables = ((_GET, "GET"), (_POST, "POST"))
    routes = [
        Route(_with_slashes(path), _endpoint(path, handler, service), methods=[method])
        for table, method in tables
        for path, handler in table.items()
    ]
    app = Starlette(routes=[*routes, *page_routes()], exception_handlers={HTTPException: _no_such_route})
    app.router.redirect_slashes = False
    app.state.connections = list
    return app


def _with_slashes(path: str) -> str:
    """The path as the router takes it: names of layers in files of others have slashes, which arrive unescaped."""
    return path.replace("{name}", "{name:path}")


def _endpoint(path: str, handler: Handler, service: Service) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        request.scope[ROUTE] = path
        try:
            return await handler(request, service)
        except Refusal as refusal:
            return refusal.response()
        except ClientGoneError:
            return Response(status_code=400)  # nobody reads it
        except WhyconvError as error:
            # Whose text may name places on this machine, which are not the caller's business.
            _log.error("%s: %s", path, error)
            return Refusal(500, ModelFileError("The server cannot use its own files; its log says which.")).response()
        except Exception:  # noqa: BLE001 - whatever it is, the caller gets an answer
            _log.exception("%s: a mistake of the program", path)
            return Refusal(500, WhyconvError("A mistake of the server; its log says where.")).response()

    return endpoint


async def _no_such_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == 405:
        message = f"{request.method[:20]} is not possible here. Expected {headers.get('Allow', 'another method')}."
    else:
        message = "There is nothing at this address. /openapi.json lists all addresses."
    return Refusal(status, UsageError(message), headers).response()
