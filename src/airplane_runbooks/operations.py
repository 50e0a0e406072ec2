"""Every endpoint of the API as one constant: its name, method, path, and the types of its request and reply."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from . import models
from .errors import ConfigurationError
from .models.decoding import never
from .schema.encoding import encode_params
from .schema.timestamps import utc_text

RequestT = TypeVar("RequestT", bound=models.Model)
ReplyT = TypeVar("ReplyT", bound=models.Model)

MAX_PAGE_SIZE = 50


_encode = msgspec.json.Encoder().encode


class Operation(msgspec.Struct, Generic[RequestT, ReplyT], frozen=True, kw_only=True):
    """An endpoint.

    Attributes:
        name: Name in spans, errors and logs, such as `runbooks.execute`.
        method: GET or POST.
        path: Path below the base URL.
        request: Type of the query of a GET, of the body of a POST.
        reply: Type of the body of a 2xx response.
        needs: Fields of the request of which at least one must be given.
        values: Fields that hold JSON values, which are encoded by the rules for parameter values.
        env_in_query: Whether the environment is also sent as `?envSlug=`, for older servers.
        is_by_id: Whether it reads one object by its ID, so that the reply must be about that ID.
        is_optional: Whether servers may lack it, since the API's documentation does not name it.
        is_extension: Whether its path is below `/ext/v0`, which stands beside the `/v0` of the base URL.
        acknowledge: Makes the reply from the request if a status of 2xx says everything; no body is read then.
    """

    name: str
    method: str
    path: str
    request: type[RequestT]
    reply: type[ReplyT]
    needs: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    env_in_query: bool = False
    is_by_id: bool = False
    is_optional: bool = False
    is_extension: bool = False
    acknowledge: Callable[[RequestT], ReplyT] | None = None

    def check(self, request: RequestT) -> None:
        """Raise ConfigurationError, naming the fields, unless the request has one that it needs, as a string."""
        for name in self.needs:
            if value := getattr(request, name):
                if type(value) is str or isinstance(value, str | bool):
                    return
                raise ConfigurationError(f"{self.name}: {name} must be a string, not {type(value).__name__}")
        if self.needs:
            raise ConfigurationError(f"{self.name} needs {' or '.join(self.needs)}")

    def target(self, request: RequestT, env_slug: str | None) -> str:
        """Return the path with its query. Raises ConfigurationError for a value that a query cannot hold."""
        pairs = _query(self.name, request) if self.method == "GET" else []
        if env_slug is not None and self.env_in_query:
            pairs.append(("envSlug", env_slug))
        try:
            return f"{self.path}?{urlencode(pairs)}" if pairs else self.path
        except UnicodeEncodeError:
            raise self._not_text() from None

    def body(self, request: RequestT) -> bytes | None:
        """Return the JSON body, None for a GET. Raises ParamValueError for values that cannot be sent."""
        if self.method == "GET":
            return None
        for name in self.values:
            raw = msgspec.Raw(encode_params(getattr(request, name), name))
            request = msgspec.structs.replace(request, **{name: raw})
        try:
            return _encode(request)
        except UnicodeEncodeError:
            raise self._not_text() from None

    def _not_text(self) -> ConfigurationError:
        return ConfigurationError(f"{self.name}: a string has a lone surrogate, which cannot be encoded")

    def answers(self, request: RequestT, data: ReplyT) -> bool:
        """Tell whether a reply is about the requested object. True if it has no ID: some servers omit it."""
        found: str = getattr(getattr(data, "prompt", data), "id", "")
        return not found or found == getattr(request, "id", found)

    def decode(self, body: bytes, is_late: Callable[[], bool] = never) -> ReplyT:
        """Decode the body of a 2xx response. Raises as `models.decode` does."""
        return models.decode(body, self.reply, is_late)

    def __repr__(self) -> str:
        return f"<Operation {self.name}: {self.method} {self.path}>"


def _query(operation: str, request: models.Model) -> list[tuple[str, str]]:
    fields = zip(request.__struct_fields__, request.__struct_encode_fields__, strict=True)
    return [
        (key, _query_value(f"{operation}: {name}", name, value))
        for name, key in fields
        if (value := getattr(request, name)) is not None
    ]


def _query_value(where: str, name: str, value: Any) -> str:
    if isinstance(value, datetime):
        try:
            return utc_text(value)
        except ValueError as problem:
            raise ConfigurationError(f"{where} {problem}") from None
    if name == "limit" and not 1 <= value <= MAX_PAGE_SIZE:
        raise ConfigurationError(f"{where} must be 1 to {MAX_PAGE_SIZE}, not {value!r}")
    if name == "page" and value < 0:
        raise ConfigurationError(f"{where} must not be negative, not {value!r}")
    return str(value)


EXECUTE_RUNBOOK = Operation(
    name="runbooks.execute",
    method="POST",
    path="/runbooks/execute",
    request=models.ExecuteRunbook,
    reply=models.StartedSession,
    needs=("id", "slug"),
    values=("param_values",),
    env_in_query=True,
)
LIST_RUNBOOKS = Operation(
    name="runbooks.list",
    method="GET",
    path="/runbooks/list",
    request=models.ListRunbooks,
    reply=models.RunbookPage,
    is_optional=True,
    is_extension=True,
)
GET_SESSION = Operation(
    name="sessions.get",
    method="GET",
    path="/sessions/get",
    request=models.GetSession,
    reply=models.Session,
    needs=("id",),
    is_by_id=True,
)
LIST_SESSIONS = Operation(
    name="sessions.list",
    method="GET",
    path="/sessions/list",
    request=models.ListSessions,
    reply=models.SessionPage,
)
CANCEL_SESSION = Operation(
    name="sessions.cancel",
    method="POST",
    path="/sessions/cancel",
    request=models.CancelSession,
    reply=models.CancelledSession,
    needs=("id",),
    is_optional=True,
    is_extension=True,
    acknowledge=lambda _: models.CancelledSession(),
)
RELEASE_SESSIONS = Operation(
    name="sessions.release",
    method="POST",
    path="/sessions/release",
    request=models.ReleaseSessions,
    reply=models.ReleasedSessions,
    needs=("id", "all"),
    is_optional=True,
    is_extension=True,
)
DELETE_SESSION = Operation(
    name="sessions.delete",
    method="POST",
    path="/sessions/delete",
    request=models.DeleteSession,
    reply=models.DeletedSession,
    needs=("id",),
    is_optional=True,
    is_extension=True,
    acknowledge=lambda _: models.DeletedSession(),
)
EXECUTE_TASK = Operation(
    name="tasks.execute",
    method="POST",
    path="/tasks/execute",
    request=models.ExecuteTask,
    reply=models.StartedRun,
    needs=("id", "slug"),
    values=("param_values", "resources"),
    env_in_query=True,
)
LIST_TASKS = Operation(
    name="tasks.list",
    method="GET",
    path="/tasks/list",
    request=models.ListTasks,
    reply=models.TaskPage,
    env_in_query=True,
    is_optional=True,
)
GET_RUN = Operation(
    name="runs.get",
    method="GET",
    path="/runs/get",
    request=models.GetRun,
    reply=models.Run,
    needs=("id",),
    is_by_id=True,
)
GET_RUN_OUTPUTS = Operation(
    name="runs.get_outputs",
    method="GET",
    path="/runs/getOutputs",
    request=models.GetRun,
    reply=models.RunOutputs,
    needs=("id",),
)
GET_RUN_LOGS = Operation(
    name="runs.logs",
    method="GET",
    path="/runs/getLogs",
    request=models.GetLogs,
    reply=models.LogPage,
    needs=("run_id",),
    is_optional=True,
)
LIST_RUNS = Operation(
    name="runs.list",
    method="GET",
    path="/runs/list",
    request=models.ListRuns,
    reply=models.RunPage,
)
CANCEL_RUN = Operation(
    name="runs.cancel",
    method="POST",
    path="/runs/cancel",
    request=models.CancelRun,
    reply=models.CancelledRun,
    needs=("run_id",),
    acknowledge=lambda _: models.CancelledRun(),
)
GET_PROMPT = Operation(
    name="prompts.get",
    method="GET",
    path="/prompts/get",
    request=models.GetPrompt,
    reply=models.PromptReply,
    needs=("id",),
    is_by_id=True,
)
LIST_PROMPTS = Operation(
    name="prompts.list",
    method="GET",
    path="/prompts/list",
    request=models.ListPrompts,
    reply=models.PromptPage,
    needs=("run_id",),
)
SUBMIT_PROMPT = Operation(
    name="prompts.submit",
    method="POST",
    path="/prompts/submit",
    request=models.SubmitPrompt,
    reply=models.AnsweredPrompt,
    needs=("id",),
    values=("values",),
    acknowledge=lambda request: models.AnsweredPrompt(id=request.id),
)
CANCEL_PROMPT = Operation(
    name="prompts.cancel",
    method="POST",
    path="/prompts/cancel",
    request=models.CancelPrompt,
    reply=models.AnsweredPrompt,
    needs=("id",),
    acknowledge=lambda request: models.AnsweredPrompt(id=request.id),
)
CREATE_UPLOAD = Operation(
    name="uploads.create",
    method="POST",
    path="/uploads/create",
    request=models.CreateUpload,
    reply=models.UploadReply,
    is_optional=True,
)
WRITE_UPLOAD = Operation(
    name="uploads.write",
    method="POST",
    path="/uploads/write",
    request=models.WriteUpload,
    reply=models.UploadReply,
    is_optional=True,
    is_extension=True,
)
GET_UPLOAD = Operation(
    name="uploads.get",
    method="GET",
    path="/uploads/get",
    request=models.GetUpload,
    reply=models.UploadReply,
    needs=("id",),
    is_optional=True,
)
