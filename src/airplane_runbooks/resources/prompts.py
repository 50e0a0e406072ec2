"""Prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models import AnsweredPrompt, CancelPrompt, GetPrompt, ListPrompts, Prompt, SubmitPrompt
from ..operations import CANCEL_PROMPT, GET_PROMPT, LIST_PROMPTS, SUBMIT_PROMPT
from ..options import CallOptions
from ._base import Resource


class Prompts(Resource):
    """Reads and answers prompts."""

    __slots__ = ()

    def get(self, id: str, *, options: CallOptions | None = None) -> Prompt:
        """Return a prompt with its schema and, once it has been answered, the answer.

        Raises:
            NotFound: There is no such prompt.
        """
        return self._client.call(GET_PROMPT, GetPrompt(id=id), options=options).data.prompt

    def list(self, run_id: str, *, options: CallOptions | None = None) -> tuple[Prompt, ...]:
        """Return the prompts of a run.

        Raises:
            NotFound: There is no such run.
        """
        return self._client.call(LIST_PROMPTS, ListPrompts(run_id=run_id), options=options).data.prompts

    def submit(
        self, id: str, *, values: Mapping[str, Any] | None = None, options: CallOptions | None = None
    ) -> AnsweredPrompt:
        """Answer a prompt. `values` are keyed by the slugs of its schema.

        Raises:
            BadRequest: The values do not fit the schema.
            Conflict: The prompt has been answered or cancelled already.
            NotFound: There is no such prompt.
            ParamValueError: A value cannot be sent as it is; the message names its path.
        """
        return self._client.call(
            SUBMIT_PROMPT, SubmitPrompt(id=id, values={} if values is None else values), options=options
        ).data

    def cancel(self, id: str, *, options: CallOptions | None = None) -> AnsweredPrompt:
        """Reject a prompt.

        Raises:
            Conflict: The prompt has been answered or cancelled already.
            NotFound: There is no such prompt.
        """
        return self._client.call(CANCEL_PROMPT, CancelPrompt(id=id), options=options).data
