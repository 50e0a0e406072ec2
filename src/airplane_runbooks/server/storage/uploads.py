"""Uploaded files in the database: each in chunks, so that no transaction and no reader holds more than one of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy import Connection, bindparam
from sqlalchemy.dialects import postgresql

from ..errors import Conflict, NotFound, TooLarge
from .ids import now
from .prepared import change, fetch, first, scalar
from .rows import from_microseconds, to_microseconds
from .tables import FACTS, UPLOAD_CHUNKS, UPLOAD_USES, UPLOADS
from .transactions import Transactor, reading, writing

CHUNK = 256 * 1024  # bytes of all chunks of a file but the last
_EACH = 4096  # bytes that a file counts besides its own, so that the number of files is limited as well
_BATCH = 4  # files that are deleted at a time, which frees all of their pages

_KEY = bindparam("key", type_=UPLOADS.c.id.type)
_IDS: sa.BindParameter[Any] = bindparam("ids", expanding=True)
_FIELDS = ("id", "name", "size", "received", "created_by", "created_at")
_columns = [UPLOADS.c[name] for name in _FIELDS]
_LOCK_ROOM = sa.select(FACTS.c.name).where(FACTS.c.name == "server_id").with_for_update()
_room = sa.cast(sa.func.sum(UPLOADS.c.size + _EACH), sa.BigInteger)
_ROOM_TAKEN = sa.select(_room).where(UPLOADS.c.created_by >= "")  # a condition by which an index has all it needs
_ROOM_OF_USER = sa.select(_room).where(UPLOADS.c.created_by == bindparam("user", type_=UPLOADS.c.created_by.type))
_ADD = postgresql.insert(UPLOADS).inline().on_conflict_do_nothing(index_elements=[UPLOADS.c.id])
_GET = sa.select(*_columns).where(UPLOADS.c.id == _KEY)
_GET_MANY = sa.select(*_columns).where(UPLOADS.c.id.in_(_IDS))
_LOCK_UPLOAD = _GET.with_for_update()
_ADD_CHUNK = sa.insert(UPLOAD_CHUNKS).inline()
_RECEIVE = sa.update(UPLOADS).where(UPLOADS.c.id == _KEY)
_CHUNK_AT = (
    sa.select(UPLOAD_CHUNKS.c.position, UPLOAD_CHUNKS.c.content)
    .where(UPLOAD_CHUNKS.c.upload_id == _KEY, UPLOAD_CHUNKS.c.position <= bindparam("at", type_=sa.BigInteger))
    .order_by(UPLOAD_CHUNKS.c.position.desc())
    .limit(1)
)
_MARK_USED = sa.update(UPLOADS).where(UPLOADS.c.id == _KEY, UPLOADS.c.received == UPLOADS.c.size).values(used=True)
_ADD_USE = (
    postgresql.insert(UPLOAD_USES)
    .inline()
    .on_conflict_do_nothing(index_elements=[UPLOAD_USES.c.run_id, UPLOAD_USES.c.upload_id])
)
_is_without_use = ~sa.exists().where(UPLOAD_USES.c.upload_id == UPLOADS.c.id)
_LEFT_OVER = (
    sa.select(UPLOADS.c.id)
    .where(_is_without_use, UPLOADS.c.used | (UPLOADS.c.created_at < bindparam("before", type_=sa.BigInteger)))
    .order_by(UPLOADS.c.created_at)
    .limit(bindparam("limit", type_=sa.BigInteger))
)
_LOCK_LEFT_OVER = _LEFT_OVER.with_for_update(skip_locked=True)
_USED_BY = sa.select(UPLOAD_USES.c.upload_id).where(
    UPLOAD_USES.c.run_id == bindparam("run", type_=UPLOAD_USES.c.run_id.type)
)
_LOCK_MANY = sa.select(UPLOADS.c.id).where(UPLOADS.c.id.in_(_IDS)).with_for_update(skip_locked=True)
_DELETE = sa.delete(UPLOADS).where(UPLOADS.c.id.in_(_IDS), _is_without_use)


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An uploaded file.

    Attributes:
        name: Name of the file, without folders.
        size: Bytes that the file has.
        received: Bytes that are here already.
        created_by: ID of the user who has sent it.
    """

    id: str
    name: str
    size: int
    received: int = 0
    created_by: str
    created_at: datetime = msgspec.field(default_factory=now)

    @property
    def is_complete(self) -> bool:
        """True once the whole file is here."""
        return self.received == self.size


class SqlUploads:
    """The uploaded files of a database. All methods raise ApiError."""

    def __init__(self, database: Transactor) -> None:
        self.database = database

    @writing
    def add(self, connection: Connection, upload: Upload, max_total: int, max_of_user: int) -> Upload:
        """Keep a new file without its contents, whose room is taken from now on.

        `max_total` limits the bytes of all files, `max_of_user` those of one user. Returns the one that is there if it
        has been added before. Raises TooLarge.
        """
        first(connection, _LOCK_ROOM)  # on PostgreSQL; on SQLite there is one writer
        if (known := _find(connection, _GET, upload.id)) is not None:
            return known
        needed = upload.size + _EACH
        if (scalar(connection, _ROOM_TAKEN) or 0) + needed > max_total:
            raise TooLarge("uploads_full", f"there is no room: all files together may have {max_total} bytes")
        if (scalar(connection, _ROOM_OF_USER, {"user": upload.created_by}) or 0) + needed > max_of_user:
            raise TooLarge("uploads_full", f"there is no room: your files together may have {max_of_user} bytes")
        moment = {"created_at": to_microseconds(upload.created_at)}
        change(connection, _ADD, {**msgspec.structs.asdict(upload), **moment, "used": False})
        return upload

    @reading
    def find(self, connection: Connection, upload_id: str) -> Upload | None:
        """Return a file, without its contents."""
        return _find(connection, _GET, upload_id)

    @reading
    def find_all(self, connection: Connection, upload_ids: Collection[str]) -> dict[str, Upload]:
        """Return those of some files that there are, by their IDs."""
        rows = fetch(connection, _GET_MANY, {"ids": list(upload_ids)})
        return {row[0]: _upload(row) for row in rows}

    @writing
    def append(self, connection: Connection, upload_id: str, position: int, content: bytes, user: str) -> Upload:
        """Keep the next chunk of a file; a chunk that is there already may be sent again.

        Raises NotFound if the user has no such file, and Conflict for a chunk that is not the next one.
        """
        upload = _find(connection, _LOCK_UPLOAD, upload_id)
        if upload is None or upload.created_by != user:
            raise missing_upload(upload_id)
        length = min(CHUNK, upload.size - position)
        if position % CHUNK or len(content) != length or not 0 <= position <= upload.received or not length:
            raise Conflict("wrong_chunk", f"expected {CHUNK} bytes at {upload.received}, or the rest of the file")
        if position < upload.received:
            return upload
        change(connection, _ADD_CHUNK, {"upload_id": upload_id, "position": position, "content": content})
        received = position + length
        change(connection, _RECEIVE, {"key": upload_id, "received": received})
        return replace(upload, received=received)

    @reading
    def chunk(self, connection: Connection, upload_id: str, position: int) -> bytes:
        """Return the bytes from a position to the end of its chunk; none if there are none."""
        row = first(connection, _CHUNK_AT, {"key": upload_id, "at": position})
        return b"" if row is None else bytes(row[1])[position - row[0] :]

    @writing
    def use(self, connection: Connection, run_id: str, upload_ids: Sequence[str]) -> None:
        """Keep files as long as a root run is kept. Raises NotFound if one is missing or not complete."""
        for upload_id in upload_ids:
            if not change(connection, _MARK_USED, {"key": upload_id}):
                raise missing_upload(upload_id)
            change(connection, _ADD_USE, {"run_id": run_id, "upload_id": upload_id})

    def drop(self, before: datetime) -> int:
        """Drop files whose root runs are gone, and those that none has used that are from before then; some at a time.

        Returns their number.
        """
        moment = to_microseconds(before)
        return self._drop(moment) if self._has_to_drop(moment) else 0

    @reading
    def _has_to_drop(self, connection: Connection, before: int) -> bool:
        return first(connection, _LEFT_OVER, {"before": before, "limit": 1}) is not None

    @writing
    def _drop(self, connection: Connection, before: int) -> int:
        ids = [row[0] for row in fetch(connection, _LOCK_LEFT_OVER, {"before": before, "limit": _BATCH})]
        return _delete_locked(connection, ids)


def uploads_of(connection: Connection, run_id: str) -> Sequence[str]:
    """Return the IDs of the files that a root run has."""
    return [row[0] for row in fetch(connection, _USED_BY, {"run": run_id})]


def delete_unused(connection: Connection, upload_ids: Sequence[str]) -> None:
    """Delete those of some files that no root run has. One that a session is just taking is left to `drop`."""
    if upload_ids:
        _delete_locked(connection, [row[0] for row in fetch(connection, _LOCK_MANY, {"ids": upload_ids})])


def missing_upload(upload_id: str) -> NotFound:
    """Return the error for a file that is not here, or not all of it."""
    return NotFound("upload_not_found", f"there is no complete upload {upload_id[:100]}")


def _delete_locked(connection: Connection, upload_ids: Sequence[str]) -> int:
    # without use, now that their rows are locked: a session may have taken one in between
    return change(connection, _DELETE, {"ids": upload_ids}) if upload_ids else 0


def _find(connection: Connection, select: sa.Select[Any], upload_id: str) -> Upload | None:
    row = first(connection, select, {"key": upload_id})
    return None if row is None else _upload(row)


def _upload(row: Sequence[Any]) -> Upload:
    values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    values["created_at"] = from_microseconds(values["created_at"])
    return Upload(**values)
