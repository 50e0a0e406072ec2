"""Uploads: files that are sent in order to be passed as values."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ..schema.types.references import Upload
from .base import Identifier, Model, Stamped


class CreateUpload(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Body of `uploads.create`."""

    file_name: str
    size_bytes: int


class WriteUpload(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Body of the calls that send the chunks of a file; JSON holds the content in base64."""

    id: str
    offset: int
    content: bytes


class GetUpload(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `uploads.get`."""

    id: str


class UploadState(Stamped, frozen=True, kw_only=True, omit_defaults=True):
    """A file on its way to a server: how much of it is there, and how large the next chunk has to be."""

    id: Identifier
    file_name: str = ""
    size_bytes: int = 0
    received_bytes: int = 0
    chunk_bytes: int = 0
    created_at: datetime | None = None
    created_by: str | None = None

    @property
    def reference(self) -> Upload:
        """The value to pass for a parameter."""
        return Upload(self.id, None, self.file_name, self.size_bytes)


class UploadReply(Model, frozen=True, kw_only=True):
    """Reply of all operations on uploads."""

    upload: UploadState = msgspec.field()
