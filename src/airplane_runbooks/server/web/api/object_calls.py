"""Front end of the operations that show one object, to callers who may know its state by an entity tag."""

from __future__ import annotations

from typing import NamedTuple, Self

from starlette.requests import Request
from starlette.responses import Response

from ...errors import Invalid
from ...service.services import Services
from ..callers import Identity
from .calls import KeyFrontEnd
from .generated_clients import is_generated_client
from .objects import ObjectOperation
from .preferences import EntityTags, known_tags
from .query import read_query
from .replies import HEADERS
from .snapshots import Snapshot


class Question(NamedTuple):
    """A request for an object: the entity tags that the caller knows, and the form of reply that it reads."""

    known: EntityTags | None
    as_strings: bool

    @classmethod
    def of(cls, request: Request) -> Self:
        """Read the headers of a request."""
        known = known_tags(request.headers.getlist("if-none-match"))
        return cls(known, is_generated_client(request.headers))

    def is_known(self, snapshot: Snapshot) -> bool:
        """Tell whether the caller knows this state."""
        return self.known is not None and self.known.match(snapshot.etag(as_strings=self.as_strings))

    def is_met(self, snapshot: Snapshot) -> bool:
        """Tell whether this is what the caller waits for: another state, or rest if it knows none."""
        return snapshot.at_rest if self.known is None else not self.is_known(snapshot)

    def reply(self, snapshot: Snapshot) -> ObjectResponse:
        """Return the reply that shows an object, or that says that it is as the caller knows it."""
        headers = {**HEADERS, "Vary": "User-Agent, Prefer", "ETag": snapshot.etag(as_strings=self.as_strings)}
        response = (
            ObjectResponse(None, 304, headers)
            if self.is_known(snapshot)
            else ObjectResponse(snapshot.reply(as_strings=self.as_strings).body, 200, headers, "application/json")
        )
        response.snapshot = snapshot
        return response


class ObjectResponse(Response):
    """Reply that shows a snapshot."""

    snapshot: Snapshot


class ObjectFrontEnd(KeyFrontEnd):
    """An operation that shows one object."""

    def __init__(self, services: Services, path: str, operation: ObjectOperation) -> None:
        self.route = path
        self._services = services
        self._operation = operation

    @property
    def kind(self) -> str:
        """Kind of the object."""
        return self._operation.kind

    def find_id(self, request: Request) -> str:
        """Return the ID that the query has. Raises Invalid."""
        query = read_query(request.scope["query_string"])
        if object_id := next(filter(None, map(query.get, self._operation.keys)), None):
            return object_id
        raise Invalid("missing_field", f"{' or '.join(self._operation.keys)} is required")

    def read(self, object_id: str) -> Snapshot:
        """Read an object. Raises ApiError."""
        return self._operation.read(self._services, object_id)

    def call(self, request: Request, caller: Identity, body: bytes) -> Response:  # noqa: ARG002 - a front end
        """Show an object."""
        return Question.of(request).reply(self.read(self.find_id(request)))
