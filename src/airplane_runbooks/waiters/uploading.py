"""Uploading of a file, a chunk with each call, so that neither side holds all of it."""

from __future__ import annotations

import io
import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from ..errors import ConfigurationError, InvalidResponse
from ..models import CreateUpload, WriteUpload
from ..operations import CREATE_UPLOAD, WRITE_UPLOAD
from ..schema.types.references import Upload
from .scope import OperationScope

File: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO

_LARGEST_CHUNK = 4 * 1024 * 1024  # bytes; servers of this package ask for 256 KiB
_NAMELESS = "file"


class _Source(NamedTuple):
    """A file that can be read: its size from the present position on."""

    stream: BinaryIO
    name: str
    size: int


async def upload(scope: OperationScope, file: File, name: str | None) -> Upload:
    """Send a file, and return the value to pass for a parameter.

    Raises ConfigurationError if it cannot be read as bytes, and OSError.
    """
    scope.limit(None)  # each call has the time of one call
    with _opened(file) as source:
        created = CreateUpload(file_name=source.name if name is None else name, size_bytes=source.size)
        state = (await scope.call(CREATE_UPLOAD, created, keyed=True)).data.upload
        if not 0 < state.chunk_bytes <= _LARGEST_CHUNK:
            raise InvalidResponse(f"the server asks for chunks of {state.chunk_bytes} bytes", transient=False)
        for position in range(0, source.size, state.chunk_bytes):
            wanted = min(state.chunk_bytes, source.size - position)
            content = await scope.offload(partial(_read, source.stream, wanted))
            chunk = WriteUpload(id=state.id, offset=position, content=content)
            await scope.call(WRITE_UPLOAD, chunk)
        return state.reference


@contextmanager
def _opened(file: Any) -> Generator[_Source]:
    """Open a file if it is given by its path; what the caller has opened is left open."""
    if isinstance(file, bytes | bytearray | memoryview):
        yield _source(io.BytesIO(file))
    elif isinstance(file, str | os.PathLike):
        with open(file, "rb") as stream:  # noqa: PTH123 - paths of all kinds
            yield _source(stream)
    else:
        yield _source(file)


def _source(stream: BinaryIO) -> _Source:
    try:
        begin = stream.tell()
        size = stream.seek(0, os.SEEK_END) - begin
        stream.seek(begin)
    except (AttributeError, OSError):
        raise ConfigurationError(
            "file must be a path, bytes, or a binary file that can seek: its size is sent first"
        ) from None
    path = getattr(stream, "name", None)
    return _Source(stream, os.path.basename(path) if isinstance(path, str) else _NAMELESS, size)  # noqa: PTH119 - pathlib costs 10 ms to import


def _read(stream: BinaryIO, size: int) -> bytes:
    """Read so many bytes. Raises ConfigurationError if there are fewer by now."""
    content: Any = bytearray()
    while len(content) < size:
        more: Any = stream.read(size - len(content))
        if isinstance(more, str):
            raise ConfigurationError("file must be opened in binary mode")
        if not more:
            raise ConfigurationError("the file has become shorter while it was sent")
        content += more
    return bytes(content)
