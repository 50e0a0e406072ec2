"""Puts the layers together: an ASGI application out of runbooks and tasks."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp

from .authoring.catalog import Catalog
from .authoring.decorators import Registry, Runbook, Task
from .engine.interface import Engine
from .engine.local import LocalEngine
from .errors import ApiError
from .execution.runner import Runner
from .observers.dispatch import Dispatcher
from .observers.emitter import Emitter
from .observers.logging import Logging
from .observers.tracing import Tracing
from .secrets.key_file import find_vault
from .service import prompts
from .service.identity import Users
from .service.lifecycle import Lifecycle
from .service.services import Services
from .settings import Options, Settings
from .web.api.command_line import COMMAND_LINE
from .web.api.endpoint import (
    Api,
    RequireKey,
    error_reply,
    refuse,
    respond,
)
from .web.api.extensions import EXTENSIONS
from .web.api.handlers import OPERATIONS, Handler
from .web.api.health import HealthProbes
from .web.body import BodyReader
from .web.edge import EdgeMiddleware, allowed_host_names
from .web.failed_logins import FailedLoginLimiter
from .web.misrouted import is_meant_for_api, misrouted_error
from .web.proxies import (
    ProxyHeaders,
    parse_proxies,
    parse_public_url,
    path_below_base,
)
from .web.threads import RequestThreads

if TYPE_CHECKING:
    from .storage.database import Database

logger = logging.getLogger(__name__)

_CODES = {
    404: ("route_not_found", "this server has no route {method} {path}"),
    405: ("method_not_allowed", "the route takes no {method}"),
}


def create_app(
    runbooks: Iterable[Runbook[..., Any]],
    tasks: Iterable[Task[..., Any]] = (),
    *,
    api_key: str | Sequence[str],
    **options: Unpack[Options],
) -> Starlette:
    """Return an ASGI application with the API under `/v0` and the pages at `/`, for any ASGI server and for mounting.

    The options are those of `Settings`. Its lifespan starts what works in the background, and ends it. Where nobody
    runs the lifespan, as when it is mounted, the first call starts it, and it ends with the process. Several keys are
    all valid, so that one can take the place of another. Tell it its `public_url`: from here, nobody sees who can
    reach it. Raises TypeError for what is not decorated, ValueError for slugs and IDs that occur twice, for an API key
    that no header could carry, or too short a one at a public URL, and for two users with the same key or e-mail
    address, VaultError for what is no encryption key, and DatabaseError if there is something wrong with the database.
    """
    settings = Settings(**options)
    users, front = Users(api_key, settings.users), proxy_headers_of(settings)
    if front.public is None:
        logger.warning("create_app has no public_url: it takes API keys of any length, and cookies go by the request")
    else:
        users.refuse_weak_keys("public_url says that others can reach the server")
    hosts = None if settings.allowed_hosts is None else allowed_host_names([*settings.allowed_hosts, *front.hosts])
    return application(create_lifecycle(runbooks, tasks, settings), users, settings, front, hosts)


def proxy_headers_of(settings: Settings) -> ProxyHeaders:
    """Return where the server stands. Raises TypeError, ValueError for what is no URL or no address."""
    public = None if settings.public_url is None else parse_public_url(settings.public_url)
    return ProxyHeaders(public, parse_proxies(settings.trusted_proxies))


def create_lifecycle(
    runbooks: Iterable[Runbook[..., Any]], tasks: Iterable[Task[..., Any]], settings: Settings
) -> Lifecycle:
    """Return what is below the API: registries, database, store, engine. Raises as `create_app` does."""
    from .engine.holding import Holding
    from .engine.reconciler import Reconciler
    from .storage.database import Database
    from .storage.facts import settle_fact
    from .storage.holds import Holds
    from .storage.sign_outs import SqlSignOuts
    from .storage.sql_idempotency import SqlKeys
    from .storage.sql_store import SqlStore

    known = Registry(runbooks, Runbook), Registry(tasks, Task)
    database = Database(settings.database)
    try:
        spare = _spare_key(database) if database.is_shared else None
        vault = find_vault(settings.encryption_key, database.path, spare)
        if any(
            parameter.secret for registry in known for item in registry.by_id.values() for parameter in item.parameters
        ):
            vault.check()
        store = SqlStore(database)
        emitter = Emitter(Dispatcher([Tracing(settings.tracer_provider), Logging()], settings.observers))
        keys = SqlKeys(database)
        if not database.is_shared:  # whoever had them is dead
            keys.free_all()
        catalog = Catalog.of(known[0].by_id.values(), known[1].by_id.values())
        engine = _engine(database, settings.workers, catalog)
        holding = Holding(Holds(database), engine, catalog, emitter)
        runner = Runner(store, *known, emitter, vault=vault, workers=settings.workers, put_back=holding.put_back)
        services = Services(
            runbooks=known[0],
            tasks=known[1],
            environments=settings.environments,
            store=store,
            keys=keys,
            sign_outs=SqlSignOuts(database),
            engine=engine,
            interrupt=runner.interrupt,
            vault=vault,
            emitter=emitter,
            server_id=settle_fact(database, "server_id", lambda: secrets.token_hex(4).encode()).decode(),
        )
        reconciler = Reconciler(
            store,
            engine,
            holding=holding,
            expire=partial(prompts.expire, services),
            keep_ended=settings.keep_ended,
            keep_for=settings.keep_for,
        )
        return Lifecycle(services, runner=runner, reconciler=reconciler, database=database)
    except BaseException:
        database.close()
        raise


def _spare_key(database: Database) -> Callable[[], bytes]:
    """Return what finds the database's own key of digests, for servers that have been given none."""
    from .storage.facts import settle_fact

    return lambda: settle_fact(database, "digest_key", lambda: os.urandom(32))


def _engine(database: Database, workers: int, catalog: Catalog) -> Engine:
    """Return the engine for a database: in memory there is nothing to be durable about."""
    if not database.is_shared and database.path is None:
        return LocalEngine(workers)
    from .engine.dbos import DbosEngine

    return DbosEngine(database.sqlalchemy_engine, workers, catalog.announcement())


def application(
    lifecycle: Lifecycle, users: Users, settings: Settings, front: ProxyHeaders, hosts: Collection[str] | None
) -> Starlette:
    """Return the ASGI application on top of the services, whose lifecycle its lifespan opens and closes.

    `hosts` are the names that requests may mean, see `EdgeMiddleware`.
    """
    from .web.pages import PageContext, PageRoutes

    limits = settings.limits
    threads = RequestThreads(limits.max_calls)
    bodies = BodyReader(limits.max_calls, limits.body_timeout)
    api = Api(lifecycle, limits, threads, bodies)
    guesses = FailedLoginLimiter(by_address=front.knows_client_addresses)
    context = PageContext(lifecycle.services, lifecycle.open, users, guesses)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        await asyncio.to_thread(lifecycle.open)
        yield
        await asyncio.to_thread(_close, threads, lifecycle, settings.grace)

    app = Starlette(
        routes=[
            *HealthProbes(lifecycle, threads).routes,
            Mount("/v0", app=_guarded(api, "/v0", {**OPERATIONS, **COMMAND_LINE}, users, guesses)),
            Mount("/ext/v0", app=_guarded(api, "/ext/v0", EXTENSIONS, users, guesses)),
            *PageRoutes(context, limits, threads, bodies).routes,
        ],
        middleware=[Middleware(EdgeMiddleware, limits, front, hosts)],
        exception_handlers={ApiError: refuse, HTTPException: _refuse_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _close(threads: RequestThreads, lifecycle: Lifecycle, grace: float) -> None:
    threads.close()
    lifecycle.close(grace)


def _guarded(
    api: Api, prefix: str, operations: Mapping[tuple[str, str], Handler], users: Users, guesses: FailedLoginLimiter
) -> ASGIApp:
    """Return the routes of operations, behind the key."""
    routes = [
        Route(path, api.endpoint(method, prefix + path, handler), methods=[method])
        for (method, path), handler in operations.items()
    ]
    return RequireKey(Router(routes, redirect_slashes=False), users, guesses)


def _refuse_route(request: Request, problem: Exception) -> Response:
    """Answer for the router: no such route, or not with this method."""
    if not isinstance(problem, HTTPException):
        raise problem
    below_api = path_below_base(request).startswith(("/v0/", "/ext/v0/"))
    if not below_api and (problem.status_code == 404 or is_meant_for_api(request)):
        return refuse(request, misrouted_error(request))
    code, text = _CODES.get(problem.status_code, ("http_error", problem.detail))
    text = text.format(method=request.method, path=path_below_base(request)[:100])
    headers = {**(problem.headers or {}), "X-Airplane-Retryable": "false"}
    return respond(request, error_reply(problem.status_code, code, text), headers)
