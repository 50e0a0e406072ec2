"""Uploads for asyncio."""

from __future__ import annotations

from functools import partial

from msgspec import UNSET

from ...models import GetUpload
from ...operations import GET_UPLOAD
from ...options import CallOptions, Timeout
from ...schema.types.references import Upload
from ...waiters.uploading import File, upload
from .._base import AsyncResource


class AsyncUploads(AsyncResource):
    """Sends files, which are then passed as values of parameters."""

    __slots__ = ()

    async def create(
        self,
        file: File,
        *,
        name: str | None = None,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> Upload:
        """Send a file, and return the value to pass for a parameter. Large files take little memory.

        A server keeps the file as long as the sessions that have it, and for about a day if none does.

        Args:
            file: A path, the contents, or a binary file, which is read from its present position and left open.
            name: Name of the file, instead of its own.
            timeout: Seconds for each of the calls with its attempts; see `CallOptions`.
            options: Options of each call.

        Raises:
            APIError: The server has no room for the file (413), for one.
            ConfigurationError: The file cannot be read as bytes, has no end, or became shorter meanwhile.
            NotSupported: The server does not have this operation.
            OSError: The file cannot be opened or read.
        """
        steps = partial(upload, file=file, name=name)
        return await self._runner.run_operation("uploads.create", steps, options, timeout)

    async def get(self, id: str, *, timeout: Timeout = UNSET, options: CallOptions | None = None) -> Upload:
        """Return the name and the size of a file that was sent.

        Raises:
            NotFound: There is no such file, or not any more.
            NotSupported: The server does not have this operation.
        """
        reply = await self._runner.call(GET_UPLOAD, GetUpload(id=id), options, timeout)
        return reply.data.upload.reference
