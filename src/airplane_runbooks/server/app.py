"""Puts the layers together: an ASGI application out of runbooks and tasks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Unpack

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp

from .backend import Backend
from .engine.interface import Engine
from .engine.local import LocalEngine
from .errors import Refused
from .http.api import Api, RequireKey, error_reply, refuse, respond
from .http.command_line import COMMAND_LINE
from .http.extensions import EXTENSIONS
from .http.gate import Gate, allowed
from .http.handlers import OPERATIONS, Handler
from .http.health import Health
from .http.threads import Threads
from .runbooks.authoring import Registry, Runbook, Task
from .runbooks.catalog import Catalog
from .settings import Options, Settings
from .tracing import Tracing
from .users import Users
from .vault import find_vault

if TYPE_CHECKING:
    from .store.database import Database

_CODES = {
    404: ("route_not_found", "this server has no route {method} {path}"),
    405: ("method_not_allowed", "the route takes no {method}"),
}


def create_app(
    runbooks: Iterable[Runbook[..., Any]],
    tasks: Iterable[Task[..., Any]] = (),
    *,
    api_key: str,
    **options: Unpack[Options],
) -> Starlette:
    """Return an ASGI application with the API under `/v0` and the pages at `/`, for any ASGI server and for mounting.

    The options are those of `Settings`. Its lifespan starts what works in the background, and ends it. Where nobody
    runs the lifespan, as when it is mounted, the first call starts it, and it ends with the process. Raises TypeError
    for what is not decorated, ValueError for slugs and IDs that occur twice, for an API key that no header could
    carry, and for two users with the same key or e-mail address, VaultError for what is no encryption key, and
    DatabaseError if there is something wrong with the database.
    """
    settings = Settings(**options)
    users = Users(api_key, settings.users)
    hosts = None if settings.allowed_hosts is None else allowed(settings.allowed_hosts)
    return application(create_backend(runbooks, tasks, settings), users, settings, hosts)


def create_backend(
    runbooks: Iterable[Runbook[..., Any]], tasks: Iterable[Task[..., Any]], settings: Settings
) -> Backend:
    """Return what is below the API: registries, database, store, engine. Raises as `create_app` does."""
    from .engine.holding import Holding
    from .engine.reconciler import Reconciler
    from .store.database import Database
    from .store.holds import Holds
    from .store.sql_keys import SqlKeys
    from .store.sql_store import SqlStore

    known = Registry(runbooks, Runbook), Registry(tasks, Task)
    database = Database(settings.database)
    try:
        spare = _spare_key(database) if database.is_shared else None
        vault = find_vault(settings.encryption_key, database.path, spare)
        if any(
            parameter.secret for registry in known for item in registry.by_id.values() for parameter in item.parameters
        ):
            vault.check()
        store, tracing = SqlStore(database), Tracing(settings.tracer_provider)
        catalog = Catalog.of(known[0].by_id.values(), known[1].by_id.values())
        engine = _engine(database, settings.workers, catalog)
        holding = Holding(Holds(database), engine, catalog)
        return Backend(
            *known,
            store=store,
            keys=SqlKeys(database),
            engine=engine,
            reconciler=Reconciler(
                store, engine, tracing, holding=holding, keep_ended=settings.keep_ended, keep_for=settings.keep_for
            ),
            holding=holding,
            database=database,
            tracing=tracing,
            vault=vault,
            environments=settings.environments,
        )
    except BaseException:
        database.close()
        raise


def _spare_key(database: Database) -> Callable[[], bytes]:
    """Return what finds the database's own key of digests, for servers that have been given none."""
    from .store.facts import settle_fact

    return lambda: settle_fact(database, "digest_key", lambda: os.urandom(32))


def _engine(database: Database, workers: int, catalog: Catalog) -> Engine:
    """Return the engine for a database: in memory there is nothing to be durable about."""
    if not database.is_shared and database.path is None:
        return LocalEngine(workers)
    from .engine.dbos import DbosEngine

    return DbosEngine(database.sqlalchemy_engine, workers, catalog.announcement())


def application(backend: Backend, users: Users, settings: Settings, hosts: Collection[str] | None) -> Starlette:
    """Return the ASGI application on top of a backend, which its lifespan opens and closes.

    `hosts` are the names that requests may mean, see `Gate`.
    """
    from .pages import Pages

    limits = settings.limits
    threads = Threads(limits.max_calls)
    api = Api(backend, limits, threads)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        await asyncio.to_thread(backend.open)
        yield
        await asyncio.to_thread(_close, threads, backend, settings.grace)

    app = Starlette(
        routes=[
            *Health(backend, threads).routes,
            Mount("/v0", app=_guarded(api, "/v0", {**OPERATIONS, **COMMAND_LINE}, users)),
            Mount("/ext/v0", app=_guarded(api, "/ext/v0", EXTENSIONS, users)),
            *Pages(backend, users, limits, threads).routes,
        ],
        middleware=[Middleware(Gate, limits, hosts)],
        exception_handlers={Refused: refuse, HTTPException: _refuse_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _close(threads: Threads, backend: Backend, grace: float) -> None:
    threads.close()
    backend.close(grace)


def _guarded(api: Api, prefix: str, operations: Mapping[tuple[str, str], Handler], users: Users) -> ASGIApp:
    """Return the routes of operations, behind the key."""
    routes = [
        Route(path, api.endpoint(method, prefix + path, handler), methods=[method])
        for (method, path), handler in operations.items()
    ]
    return RequireKey(Router(routes, redirect_slashes=False), users)


def _refuse_route(request: Request, problem: Exception) -> Response:
    """Answer for the router: no such route, or not with this method."""
    if not isinstance(problem, HTTPException):
        raise problem
    code, text = _CODES.get(problem.status_code, ("http_error", problem.detail))
    text = text.format(method=request.method, path=request.url.path[:100])
    headers = {**(problem.headers or {}), "X-Airplane-Retryable": "false"}
    return respond(request, error_reply(problem.status_code, code, text), headers)
