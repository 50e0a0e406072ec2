"""Runbooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models import ExecuteRunbook, StartedSession
from ..operations import EXECUTE_RUNBOOK
from ..options import CallOptions
from ._base import Resource, in_env


class Runbooks(Resource):
    """Executes runbooks."""

    __slots__ = ()

    def execute(
        self,
        *,
        id: str | None = None,
        slug: str | None = None,
        param_values: Mapping[str, Any] | None = None,
        env_slug: str | None = None,
        env_id: str | None = None,
        options: CallOptions | None = None,
    ) -> StartedSession:
        """Execute a runbook and return the session that it started, at once.

        Safe to repeat: all attempts carry one idempotency key, by which the server starts one session only.

        Args:
            id: The runbook's ID (`rbk...`). Either this or `slug` is enough.
            slug: The runbook's slug.
            param_values: Values of the runbook's parameters by slug; see `airplane_runbooks.ParamValue`.
            env_slug: Environment to execute in, instead of the client's.
            env_id: The same by ID.
            options: Options of this call.

        Raises:
            ConfigurationError: Neither `id` nor `slug` is given.
            ParamValueError: A value cannot be sent as it is; the message names its path.
            NotFound: There is no such runbook.
        """
        request = ExecuteRunbook(id=id, slug=slug, param_values={} if param_values is None else param_values)
        return self._client.call(EXECUTE_RUNBOOK, request, options=in_env(options, env_slug, env_id)).data
