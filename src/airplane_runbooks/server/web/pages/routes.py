"""Routes of the pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..api.replies import error_response
from ..concurrency import AnonymousConcurrency, ConcurrencyLimits
from ..limits import Limits
from ..misrouted import is_meant_for_api, misrouted_error
from ..pipeline import Pipeline
from . import deliveries, held, home, searching, starting, views
from .front_end import PageFrontEnd
from .interface import PageContext, View
from .rendering import Asset, PageRenderer, load_assets

Endpoint = Callable[[Request], Awaitable[Response]]


class PageRoutes:
    """Pages of one application, on the pipeline that they share with its API."""

    def __init__(self, context: PageContext, limits: Limits, pipeline: Pipeline, users: ConcurrencyLimits) -> None:
        self._context = context
        self._pipeline = pipeline
        self._users = users
        self._anonymous = AnonymousConcurrency(limits)
        self._assets = load_assets()
        self._renderer = PageRenderer(context.services.server_id, self._assets)

    @property
    def routes(self) -> list[Route]:
        """Routes below the root of the application."""
        return [
            self._route("GET", "/", home.home),
            self._route("GET", "/held", held.held),
            self._route("POST", "/held", held.release_all),
            self._route("GET", "/deliveries", deliveries.deliveries),
            self._route("POST", "/deliveries", deliveries.send_again),
            self._route("GET", "/sessions", searching.sessions),
            self._route("GET", "/sessions/{id}", views.session),
            self._route("POST", "/sessions/{id}", views.end_session),
            self._route("GET", "/sessions/{id}/cancel", views.confirm_cancel),
            self._route("GET", "/sessions/{id}/delete", views.confirm_delete),
            self._route("GET", "/runbooks", starting.runbook_list),
            self._route("GET", "/runbooks/{slug}", starting.start_form),
            self._route("POST", "/runbooks/{slug}", starting.start),
            self._route("GET", "/runs/{id}/output.json", views.download_json),
            self._route("GET", "/runs/{id}/output.csv", views.download_csv),
            self._route("GET", "/runs/{id}/log.txt", views.download_log),
            self._route("GET", "/uploads/{id}", views.download_upload),
            self._route("GET", "/prompts/{id}", views.prompt),
            self._route("POST", "/prompts/{id}", views.answer_prompt),
            self._route("GET", "/sign-in", views.ask_for_key, is_public=True),
            self._route("POST", "/sign-in", views.sign_in, is_public=True),
            self._route("POST", "/sign-out", views.sign_out),
            *(Route(f"/static/{name}", _serve(asset), methods=["GET"]) for name, asset in self._assets.items()),
        ]

    def _route(self, method: str, path: str, view: View, *, is_public: bool = False) -> Route:
        front_end = PageFrontEnd(self._context, self._renderer, path, view, is_public=is_public)
        concurrency = self._anonymous if is_public else self._users

        async def endpoint(request: Request) -> Response:
            if is_meant_for_api(request):
                return error_response(request, misrouted_error(request))
            return await self._pipeline.answer(request, front_end, concurrency)

        return Route(path, endpoint, methods=[method])


def _serve(asset: Asset) -> Endpoint:
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}

    async def endpoint(_: Request) -> Response:
        return Response(asset.content, headers=headers, media_type=asset.media_type)

    return endpoint
