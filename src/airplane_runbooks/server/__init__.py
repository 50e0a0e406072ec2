"""An API-compatible server that executes runbooks written as Python functions (extra `server`)."""

from ..models import Reviewers
from .app import create_app
from .limits import Limits
from .runbooks.authoring import Runbook, Task, runbook, task
from .runbooks.context import AsyncContext, Context
from .runbooks.executions import cancelled
from .runbooks.fields import Field
from .runbooks.halts import PromptCancelled, PromptExpired, StepFailed
from .serving import RunbookServer, serve
from .users import User

__all__ = [
    "AsyncContext",
    "Context",
    "Field",
    "Limits",
    "PromptCancelled",
    "PromptExpired",
    "Reviewers",
    "Runbook",
    "RunbookServer",
    "StepFailed",
    "Task",
    "User",
    "cancelled",
    "create_app",
    "runbook",
    "serve",
    "task",
]
