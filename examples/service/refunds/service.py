"""The application: `uvicorn refunds.service:create_app --factory`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from pydantic import BaseModel

from airplane_runbooks import AirplaneError, AsyncAirplane, CallOptions

from .deadlines import RequestDeadline
from .errors import answer, log


class RefundRequest(BaseModel):
    """The body of a request."""

    customer: str
    cents: int


def client_of(request: Request) -> AsyncAirplane:
    """Return the one client of the process, for which all requests share its connections."""
    client: AsyncAirplane = request.app.state.airplane
    return client


Client = Annotated[AsyncAirplane, Depends(client_of)]


def create_app() -> FastAPI:
    """Return the application. It reads AIRPLANE_API_KEY and AIRPLANE_API_HOST when it starts."""
    app = FastAPI(title="Refunds", lifespan=lifespan)
    app.add_exception_handler(AirplaneError, handle)
    app.post("/refunds/{order}")(refund)
    app.get("/sessions/{session}")(session)
    app.get("/health/live")(live)
    app.get("/health/ready")(ready)
    # Continues the trace of an incoming request.
    FastAPIInstrumentor.instrument_app(app, excluded_urls="health", exclude_spans=["receive", "send"])
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Make the client before the first request, and close it after the last one has been answered."""
    async with AsyncAirplane() as airplane:
        app.state.airplane = airplane
        yield


async def refund(
    order: str, body: RefundRequest, airplane: Client, deadline: RequestDeadline, *, wait: bool = True
) -> Any:
    """Refund an order, once however often it is asked for, and wait for the result unless told not to."""
    options = CallOptions(idempotency_key=f"refund-{quote(order, safe='')}")  # a header is in ASCII
    values = {"customer": body.customer, "cents": body.cents}
    left = deadline.left()
    if wait:
        return await airplane.runbooks.run("refund", values, wait_timeout=left, timeout=left, options=options)
    started = await airplane.runbooks.execute("refund", values, timeout=left, options=options)
    return JSONResponse({"session": started.session_id}, 202)


async def session(session: str, airplane: Client, deadline: RequestDeadline) -> dict[str, Any]:
    """Tell how far a refund is."""
    found = await airplane.sessions.get(session, timeout=deadline.left())
    return {"session": found.id, "status": str(found.status), "result": found.output}


async def live() -> dict[str, str]:
    """Tell that the process serves requests."""
    return {"status": "ok"}


async def ready(airplane: Client, deadline: RequestDeadline) -> dict[str, str]:
    """Tell whether the server of the runbooks answers, and takes our key; 502, 503 or 504 if it does not."""
    await airplane.runbooks.list(timeout=deadline.left())
    return {"status": "ok"}


async def handle(_request: Request, error: Exception) -> JSONResponse:
    """Answer a request whose call has failed."""
    if not isinstance(error, AirplaneError):
        raise error
    log(error)
    status, body, headers = answer(error)
    return JSONResponse(body, status, headers)
