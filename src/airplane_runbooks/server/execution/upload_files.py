"""Uploads as runbooks and tasks get them: files that can be opened, of which one chunk at a time is in memory."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO, cast

from ...schema.types.references import Upload
from ..errors import ApiError
from ..storage.interface import Store
from ..storage.uploads import CHUNK, SqlUploads


class _UploadFile(Upload, frozen=True, dict=True):
    """An upload that can be opened where its runbook or task is executed."""

    def open(self) -> BinaryIO:
        """Open the file for reading. Raises OSError."""
        uploads: SqlUploads = self.__dict__["uploads"]
        return cast("BinaryIO", io.BufferedReader(_Contents(uploads, self), CHUNK))


class _Contents(io.RawIOBase):
    """Contents of an upload, read from the store a chunk at a time."""

    def __init__(self, uploads: SqlUploads, upload: Upload) -> None:
        super().__init__()
        self.name = upload.name
        self._uploads = uploads
        self._id = upload.id
        self._size = upload.size or 0
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if begin + offset < 0:
            raise ValueError("a position must not be negative")
        self._position = begin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._size:
            return 0
        try:
            content = self._uploads.chunk(self._id, self._position)
        except ApiError as problem:
            raise OSError(f"the upload {self._id} cannot be read for now: {problem}") from problem
        if not content:
            raise FileNotFoundError(f"the upload {self._id} is not there any more")
        part = content[: len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)


def openable(store: Store, upload: Upload) -> Upload:
    """Return an upload that can be opened."""
    file = _UploadFile(upload.id, upload.url, upload.name, upload.size)
    vars(file)["uploads"] = store.uploads
    return file
