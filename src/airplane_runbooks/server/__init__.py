"""An API-compatible server that executes runbooks written as Python functions (extra `server`)."""

from ..models import Reviewers
from .app import create_app
from .authoring import Runbook, Task, runbook, task
from .context import AsyncContext, Context
from .fields import Field
from .halts import PromptCancelled, PromptExpired, StepFailed
from .limits import Limits
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
    "create_app",
    "runbook",
    "serve",
    "task",
]
