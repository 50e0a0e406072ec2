"""An API-compatible server that executes runbooks written as Python functions (extra `server`)."""

from ..models import Reviewers
from .app import create_app
from .authoring import Runbook, Task, runbook, task
from .context import Context
from .fields import Field
from .halts import PromptCancelled, StepFailed
from .limits import Limits
from .serving import RunbookServer

__all__ = [
    "Context",
    "Field",
    "Limits",
    "PromptCancelled",
    "Reviewers",
    "Runbook",
    "RunbookServer",
    "StepFailed",
    "Task",
    "create_app",
    "runbook",
    "task",
]
