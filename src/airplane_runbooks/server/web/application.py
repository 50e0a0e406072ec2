"""The ASGI application: health probes, the API, and the pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router

from ..errors import ApiError
from ..service.identity import Users
from ..service.lifecycle import Lifecycle
from ..storage.changes import CHANGES
from .access_log import AccessLog
from .api.authentication import RequireApiKey
from .api.calls import ApiFrontEnd
from .api.health import HealthProbes
from .api.object_calls import ObjectFrontEnd
from .api.objects import ObjectOperation
from .api.replies import error_reply, error_response, json_response
from .api.routes import API_ROUTES, ApiRoute, is_below_api
from .concurrency import UserConcurrency
from .edge import EdgeMiddleware
from .failed_logins import FailedLoginLimiter
from .limits import Limits
from .long_polls import LongPolls
from .misrouted import is_meant_for_api, misrouted_error
from .pipeline import Pipeline
from .proxies import ProxyHeaders
from .scope import path_below_base
from .threads import RequestThreads
from .watching import Watch

_ROUTER_ERRORS = {
    404: ("route_not_found", "this server has no route {method} {path}"),
    405: ("method_not_allowed", "this route does not support {method}"),
}


def create_application(
    lifecycle: Lifecycle,
    users: Users,
    *,
    limits: Limits,
    proxy_headers: ProxyHeaders,
    hosts: Collection[str] | None,
    grace: float,
    access_log: bool,
) -> Starlette:
    """Return the ASGI application. Its lifespan opens and closes the services.

    `hosts` are the host names that requests may have, see `EdgeMiddleware`. `grace` is how many seconds the end waits
    for running steps. With `access_log`, each request is a line of the log.
    """
    from .pages import PageContext, PageRoutes

    threads = RequestThreads(limits.max_calls)
    pipeline = Pipeline(lifecycle, threads)
    concurrency = UserConcurrency(limits, threads)
    failed_logins = FailedLoginLimiter(by_address=proxy_headers.knows_client_addresses)
    services = lifecycle.services

    read_states = None if services.states is None else services.states.read
    watch = Watch(threads, services.notifications, read_states)
    services.notifications.subscribe(CHANGES, watch.tell)
    long_polls = LongPolls(
        pipeline,
        concurrency,
        watch,
        max_waiting=limits.max_waiting,
        max_waiting_per_user=limits.max_waiting if len(users) == 1 else limits.max_waiting // 2,
    )
    lifecycle.at_stop(long_polls.stop)

    def api_endpoint(route: ApiRoute) -> Callable[[Request], Awaitable[Response]]:
        if isinstance(route.handler, ObjectOperation):
            object_front_end = ObjectFrontEnd(services, route.path, route.handler)

            async def object_endpoint(request: Request) -> Response:
                return await long_polls.answer(request, object_front_end)

            return object_endpoint
        front_end = ApiFrontEnd(services, route.path, route.handler, limits.max_body)

        async def endpoint(request: Request) -> Response:
            return await pipeline.answer(request, front_end, concurrency)

        return endpoint

    def mount_api(prefix: str) -> Mount:
        routes = [
            Route(route.path.removeprefix(prefix), api_endpoint(route), methods=[route.method])
            for route in API_ROUTES[prefix]
        ]
        return Mount(prefix, app=RequireApiKey(Router(routes, redirect_slashes=False), users, failed_logins))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        await asyncio.to_thread(lifecycle.open)
        yield
        try:
            closed = asyncio.get_running_loop().run_in_executor(None, _close, threads, lifecycle, grace)
        except RuntimeError:  # the main thread has ended: there are no executors any more, nor requests to go on with
            _close(threads, lifecycle, grace)
        else:
            await closed

    routes: list[Route | Mount] = [
        *HealthProbes(lifecycle, threads).routes,
        *map(mount_api, API_ROUTES),
        *PageRoutes(PageContext(services, users, failed_logins), limits, pipeline, concurrency).routes,
    ]
    roots = {route.path.split("/")[1] for route in routes}
    fixed_paths = {*(route.path for route in routes), *(one.path for api in API_ROUTES.values() for one in api)}
    app = Starlette(
        routes=routes,
        middleware=[
            *([Middleware(AccessLog, fixed_paths)] if access_log else []),
            Middleware(EdgeMiddleware, limits, proxy_headers, hosts, roots),
        ],
        exception_handlers={ApiError: error_response, HTTPException: _router_error_response},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _close(threads: RequestThreads, lifecycle: Lifecycle, grace: float) -> None:
    threads.close()
    lifecycle.close(grace)


def _router_error_response(request: Request, problem: Exception) -> Response:
    """Return the response where the router finds no route, or none with the method."""
    if not isinstance(problem, HTTPException):
        raise problem
    path = path_below_base(request)
    if not is_below_api(path) and (problem.status_code == 404 or is_meant_for_api(request)):
        return error_response(request, misrouted_error(request))
    code, text = _ROUTER_ERRORS.get(problem.status_code, ("http_error", problem.detail))
    text = text.format(method=request.method, path=path[:100])
    headers = {**(problem.headers or {}), "X-Airplane-Retryable": "false"}
    return json_response(request, error_reply(problem.status_code, code, text), headers)
