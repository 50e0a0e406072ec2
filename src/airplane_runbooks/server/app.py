"""Puts the layers together: an ASGI application out of runbooks and tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router

from .api import Api, RequireKey, error_reply, refuse, respond
from .authoring import Registry, Runbook, Task
from .backend import Backend
from .engine import LocalEngine
from .errors import Refused
from .handlers import OPERATIONS
from .keys import MemoryKeys, Reply
from .limits import Limits
from .memory import MemoryStore

_CODES = {
    404: ("route_not_found", "there is no such route"),
    405: ("method_not_allowed", "the route takes no {method}"),
}


def create_app(
    runbooks: Iterable[Runbook[..., Any]],
    tasks: Iterable[Task[..., Any]] = (),
    *,
    api_key: str,
    environments: Sequence[str] | None = None,
    workers: int = 16,
    grace: float = 10.0,
    keep_ended: int = 10_000,
    limits: Limits | None = None,
) -> Starlette:
    """Return an ASGI application with the API under `/v0`, for any ASGI server and for mounting.

    Its shutdown waits at most `grace` seconds for running steps; a server that mounts it without running its lifespan
    leaves them to the end of the process. `workers` is how many sessions and tasks execute at a time, `environments`
    the slugs to serve (any if None), `keep_ended` how many ended ones stay readable. Raises TypeError for what is not
    decorated, ValueError for slugs and IDs that occur twice and for an API key that no header could carry.
    """
    backend = create_backend(runbooks, tasks, environments=environments, workers=workers, keep_ended=keep_ended)
    return application(backend, api_key=api_key, grace=grace, limits=limits or Limits())


def create_backend(
    runbooks: Iterable[Runbook[..., Any]],
    tasks: Iterable[Task[..., Any]],
    *,
    environments: Sequence[str] | None,
    workers: int,
    keep_ended: int,
) -> Backend:
    """Return what is below the API: registries, store, engine. Raises as `create_app` does."""
    if isinstance(environments, str):
        raise TypeError("environments is a sequence of slugs")
    return Backend(
        Registry(runbooks, Runbook),
        Registry(tasks, Task),
        store=MemoryStore(),
        keys=MemoryKeys(),
        engine=LocalEngine(workers),
        environments=environments,
        keep_ended=keep_ended,
    )


def application(backend: Backend, *, api_key: str, grace: float, limits: Limits) -> Starlette:
    """Return the ASGI application on top of a backend, which its shutdown closes. Raises as `create_app` does."""
    if not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key and api_key):
        raise ValueError("an API key is made of printable ASCII characters, with no space around them")
    api = Api(backend, limits, api_key)
    operations = [
        Route(path, api.endpoint(method, path, handler), methods=[method])
        for (method, path), handler in OPERATIONS.items()
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        await asyncio.to_thread(_close, api, backend, grace)

    app = Starlette(
        routes=[
            Route("/healthz", _healthz, methods=["GET"]),
            Mount("/v0", app=RequireKey(Router(operations, redirect_slashes=False), api_key)),
        ],
        exception_handlers={Refused: refuse, HTTPException: _refuse_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _close(api: Api, backend: Backend, grace: float) -> None:
    api.close()
    backend.close(grace)


async def _healthz(request: Request) -> Response:
    return respond(request, Reply(200, b'{"status":"ok"}'))


def _refuse_route(request: Request, problem: Exception) -> Response:
    """Answer for the router: no such route, or not with this method."""
    if not isinstance(problem, HTTPException):
        raise problem
    code, text = _CODES.get(problem.status_code, ("http_error", problem.detail))
    headers = {**(problem.headers or {}), "X-Airplane-Retryable": "false"}
    return respond(request, error_reply(problem.status_code, code, text.format(method=request.method)), headers)
