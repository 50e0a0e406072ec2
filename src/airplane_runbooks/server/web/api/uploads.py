"""Operations by which callers send files, in chunks that each are a call of their own and may be sent again."""

from __future__ import annotations

import msgspec

from ...service import uploads
from ...service.services import Services
from ...storage.ids import stamp
from ...storage.uploads import CHUNK, Upload
from .handlers import Call, absent, read_body, required
from .schemas import Body, Json


class CreateUploadBody(Body, rename="camel"):
    """Body of `uploads/create`."""

    file_name: str | None = None
    size_bytes: int | None = None


class WriteUploadBody(Body, rename="camel"):
    """Body of `uploads/write`; `content` is in base64."""

    upload_id: str | None = msgspec.field(default=None, name="uploadID")
    offset: int = 0
    content: bytes | None = None


def create_upload(services: Services, call: Call) -> Json:
    """Make room for a file."""
    body = read_body(call, CreateUploadBody)
    size = absent("sizeBytes") if body.size_bytes is None else body.size_bytes
    return upload_json(uploads.create(services, body.file_name or "", size, call.caller))


def write_upload(services: Services, call: Call) -> Json:
    """Add the next chunk of a file."""
    body = read_body(call, WriteUploadBody)
    content = absent("content") if body.content is None else body.content
    upload_id = body.id or body.upload_id or absent("id")
    return upload_json(uploads.write(services, upload_id, body.offset, content, call.caller))


def get_upload(services: Services, call: Call) -> Json:
    """Show a file, without its contents."""
    return upload_json(uploads.find(services, required(call, "id", "uploadID")))


def upload_json(upload: Upload) -> Json:
    """Return the JSON of a file."""
    return {
        "upload": {
            "id": upload.id,
            "fileName": upload.name,
            "sizeBytes": upload.size,
            "receivedBytes": upload.received,
            "chunkBytes": CHUNK,
            "createdAt": stamp(upload.created_at),
            "createdBy": upload.created_by,
        }
    }
