"""An API-compatible server that executes runbooks written as Python functions (extra `server`)."""

from .._extras import needs_extra

with needs_extra("server", __name__):
    from ..models import Reviewers
    from .app import create_app
    from .authoring.contexts import AsyncContext, Context
    from .authoring.decorators import (
        Runbook,
        Task,
        runbook,
        task,
    )
    from .authoring.errors import PromptCancelled, PromptExpired, StepFailed
    from .authoring.fields import Field
    from .configuration import options_from_environment
    from .deliveries.targets import Slack, Webhook
    from .events import EnclosingObserver, Event, Observer
    from .execution.execution import cancelled
    from .service.config_variables import ConfigVariable
    from .service.identity import User
    from .serving import RunbookServer, serve
    from .web.limits import Limits

__all__ = [
    "AsyncContext",
    "ConfigVariable",
    "Context",
    "EnclosingObserver",
    "Event",
    "Field",
    "Limits",
    "Observer",
    "PromptCancelled",
    "PromptExpired",
    "Reviewers",
    "Runbook",
    "RunbookServer",
    "Slack",
    "StepFailed",
    "Task",
    "User",
    "Webhook",
    "cancelled",
    "create_app",
    "options_from_environment",
    "runbook",
    "serve",
    "task",
]
