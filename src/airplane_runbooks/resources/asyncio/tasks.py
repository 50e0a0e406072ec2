"""Tasks for asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from ...models import ExecuteTask, ListTasks, StartedRun, Task
from ...operations import EXECUTE_TASK, LIST_TASKS
from ...options import CallOptions, Timeout
from .._base import AsyncResource, in_env


class AsyncTasks(AsyncResource):
    """Lists and executes tasks."""

    __slots__ = ()

    async def execute(
        self,
        slug: str | None = None,
        param_values: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        resources: Mapping[str, str] | None = None,
        allow_cached_max_age: int | None = None,
        env_slug: str | None = None,
        env_id: str | None = None,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> StartedRun:
        """Execute a task and return the run that it started, at once.

        Args:
            slug: The task's slug.
            param_values: Values of the task's parameters by slug.
            id: The task's ID (`tsk...`), instead of the slug.
            resources: Resource IDs by the aliases that the task uses.
            allow_cached_max_age: Reuse a run of the same values not older than this, in seconds (0 to 172800).
            env_slug: Environment to execute in, instead of the client's.
            env_id: Environment to execute in, by ID.
            timeout: Seconds for this call with its attempts; see `CallOptions`.
            options: Options of this call.

        Raises:
            ConfigurationError: Neither `id` nor `slug` is given.
            ParamValueError: A value cannot be sent as it is; the message names its path.
            NotFound: There is no such task.
        """
        request = ExecuteTask(
            id=id,
            slug=slug,
            param_values={} if param_values is None else param_values,
            resources={} if resources is None else resources,
            allow_cached_max_age=allow_cached_max_age,
        )
        reply = await self._runner.call(EXECUTE_TASK, request, in_env(options, env_slug, env_id), timeout)
        return reply.data

    async def list(self, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> tuple[Task, ...]:
        """Return the tasks that the server can execute, with the schemas of their parameters.

        The documented API lacks this operation; servers of this package have it.

        Raises:
            NotSupported: The server does not have this operation.
        """
        return (await self._runner.call(LIST_TASKS, ListTasks(), options, timeout)).data.tasks
