"""Requests and replies of every endpoint, as immutable structs with open enums."""

from ..schema.enums import Component, OpenEnum, ParameterType
from ..schema.timestamps import parse_timestamp
from .base import Model, Stamped
from .common import AttemptFailure, Constraints, Failure, Hold, Parameter, ParameterSchema, Permission
from .decoding import decode
from .enums import LogSeverity, LogStream, Role, RunStatus, Runtime, SessionStatus
from .logs import GetLogs, LogLine, LogPage
from .prompts import (
    AnsweredPrompt,
    CancelPrompt,
    GetPrompt,
    ListPrompts,
    Prompt,
    PromptPage,
    PromptReply,
    Reviewers,
    SubmitPrompt,
)
from .runbooks import ExecuteRunbook, ListRunbooks, Runbook, RunbookPage, StartedSession
from .runs import (
    CancelledRun,
    CancelRun,
    GetRun,
    Label,
    ListRuns,
    Run,
    RunConstraints,
    RunOutputs,
    RunPage,
)
from .sessions import (
    CancelledSession,
    CancelSession,
    DeletedSession,
    DeleteSession,
    GetSession,
    ListSessions,
    ReleasedSessions,
    ReleaseSessions,
    Session,
    SessionPage,
)
from .steps import Step
from .tasks import ExecuteTask, ListTasks, StartedRun, Task, TaskPage
from .typed_calls import RunbookCall
from .uploads import CreateUpload, GetUpload, UploadReply, UploadState, WriteUpload

__all__ = [
    "AnsweredPrompt",
    "AttemptFailure",
    "CancelPrompt",
    "CancelRun",
    "CancelSession",
    "CancelledRun",
    "CancelledSession",
    "Component",
    "Constraints",
    "CreateUpload",
    "DeleteSession",
    "DeletedSession",
    "ExecuteRunbook",
    "ExecuteTask",
    "Failure",
    "GetLogs",
    "GetPrompt",
    "GetRun",
    "GetSession",
    "GetUpload",
    "Hold",
    "Label",
    "ListPrompts",
    "ListRunbooks",
    "ListRuns",
    "ListSessions",
    "ListTasks",
    "LogLine",
    "LogPage",
    "LogSeverity",
    "LogStream",
    "Model",
    "OpenEnum",
    "Parameter",
    "ParameterSchema",
    "ParameterType",
    "Permission",
    "Prompt",
    "PromptPage",
    "PromptReply",
    "ReleaseSessions",
    "ReleasedSessions",
    "Reviewers",
    "Role",
    "Run",
    "RunConstraints",
    "RunOutputs",
    "RunPage",
    "RunStatus",
    "Runbook",
    "RunbookCall",
    "RunbookPage",
    "Runtime",
    "Session",
    "SessionPage",
    "SessionStatus",
    "Stamped",
    "StartedRun",
    "StartedSession",
    "Step",
    "SubmitPrompt",
    "Task",
    "TaskPage",
    "UploadReply",
    "UploadState",
    "WriteUpload",
    "decode",
    "parse_timestamp",
]
