"""Uploads: files that callers send in order to pass them as values, kept as long as the sessions that have them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from ..errors import Invalid, TooLarge
from ..storage.uploads import CHUNK, Upload, missing_upload
from .services import Caller, Services

_LONGEST_NAME = 200  # characters
_NAMELESS = "file"


def create(services: Services, name: str, size: int, caller: Caller) -> Upload:
    """Make room for a file that its chunks are to follow. Raises Invalid, TooLarge."""
    limits = services.upload_limits
    if size < 0:
        raise Invalid("invalid_size", "the size of a file must not be negative")
    if size > limits.max_size:
        raise TooLarge("upload_too_large", f"the file has more than {limits.max_size} bytes")
    upload = Upload(id=f"upl{caller.seed}", name=clean_name(name), size=size, created_by=caller.id)
    return services.store.uploads.add(upload, limits.max_total, limits.max_of_user)


def write(services: Services, upload_id: str, position: int, content: bytes, caller: Caller) -> Upload:
    """Add the chunk of a file that begins at this position. Raises NotFound, Conflict."""
    return services.store.uploads.append(upload_id, position, content, caller.id)


def keep(services: Services, name: str, content: bytes, caller: Caller) -> Upload:
    """Keep a file that is here as a whole, each chunk in a transaction of its own. Raises TooLarge."""
    upload = create(services, name, len(content), caller)
    for position in range(0, len(content), CHUNK):
        upload = write(services, upload.id, position, content[position : position + CHUNK], caller)
    return upload


def find(services: Services, upload_id: str) -> Upload:
    """Return a file. Raises NotFound."""
    upload = services.store.uploads.find(upload_id)
    if upload is None:
        raise missing_upload(upload_id)
    return upload


def read(services: Services, upload: Upload) -> Iterator[bytes]:
    """Yield the contents of a file, a chunk at a time. Raises NotFound if it is dropped meanwhile."""
    position = 0
    while position < upload.size:
        chunk = services.store.uploads.chunk(upload.id, position)
        if not chunk:
            raise missing_upload(upload.id)
        yield chunk
        position += len(chunk)


def clean_name(name: str) -> str:
    """Return a file's name without folders and without characters that cannot be seen: safe to show and to save as."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(character for character in last if character.isprintable() and character not in '"<>:|?*')
    cut = unicodedata.normalize("NFC", shown)[-_LONGEST_NAME:]
    return cut.strip(". ") or _NAMELESS
