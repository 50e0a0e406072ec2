"""States of sessions and runs, runtimes and roles, as open enums."""

from __future__ import annotations

from ..schema.enums import OpenEnum

_TERMINAL = frozenset({"Succeeded", "Failed", "Cancelled"})


class Status(OpenEnum):
    """State of an object that runs until it ends."""

    @property
    def is_terminal(self) -> bool:
        """True once it has ended. A value that this version does not know counts as still running."""
        return self.value in _TERMINAL


class SessionStatus(Status):
    """State of a session. Only the last three are final; `WAITING` means that a human has to answer a prompt."""

    PENDING = "Pending"
    ACTIVE = "Active"
    WAITING = "Waiting"
    CANCELLING = "Cancelling"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class RunStatus(Status):
    """State of a run. There is no waiting state: a run that asks a human stays `ACTIVE`."""

    NOT_STARTED = "NotStarted"
    QUEUED = "Queued"
    ACTIVE = "Active"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class RunKind(OpenEnum):
    """Kind of a run: a root run of a runbook or task, or a step of a session."""

    RUNBOOK = "runbook"
    TASK = "task"
    STEP = "step"
    PROMPT = "prompt"
    DISPLAY = "display"


class Runtime(OpenEnum):
    """System that executes a run."""

    STANDARD = "standard"
    WORKFLOW = "workflow"


class LogSeverity(OpenEnum):
    """Importance of a line of a log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogStream(OpenEnum):
    """Origin of a line of a log: what was printed, or a record of `logging`."""

    STDOUT = "stdout"
    STDERR = "stderr"
    LOG = "log"


class Role(OpenEnum):
    """Role that a permission grants."""

    TEAM_ADMIN = "team_admin"
    TEAM_DEVELOPER = "team_developer"
    TASK_VIEWER = "task_viewer"
    TASK_REQUESTER = "task_requester"
    TASK_EXECUTER = "task_executer"
    TASK_ADMIN = "task_admin"
    RUN_VIEWER = "run_viewer"
    RUNBOOK_VIEWER = "runbook_viewer"
    RUNBOOK_REQUESTER = "runbook_requester"
    RUNBOOK_EXECUTER = "runbook_executer"
    RUNBOOK_ADMIN = "runbook_admin"
    SESSION_VIEWER = "session_viewer"
    SESSION_EXECUTER = "session_executer"
    SESSION_ADMIN = "session_admin"
    RESOURCE_USER = "resource_user"
    DEPLOY_CREATOR = "deploy_creator"
    GROUP_ADMIN = "group_admin"
