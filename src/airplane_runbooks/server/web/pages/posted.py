"""Fields and files of a form as a browser posts them."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request

from ...errors import Invalid
from .multipart import boundary_of, read_parts

_MEDIA_TYPE = "application/x-www-form-urlencoded"
_MAX_FIELDS = 10_000


class PostedFile(NamedTuple):
    """A file of a form."""

    name: str
    content: bytes


class Posted(NamedTuple):
    """The values of each field of a form, and the files of those that have some."""

    fields: dict[str, list[str]]
    files: dict[str, list[PostedFile]]


def read_form(request: Request, body: bytes) -> Posted:
    """Return the fields and files, none unless the request is a POST. Raises Invalid."""
    posted = Posted({}, {})
    if request.method != "POST":
        return posted
    content_type = request.headers.get("content-type", "")
    boundary = boundary_of(content_type)
    try:
        if boundary is not None:
            _add_parts(posted, body, boundary)
            return posted
        if content_type.partition(";")[0].strip().lower() == _MEDIA_TYPE:
            for name, value in _pairs(body):
                posted.fields.setdefault(name, []).append(value)
            return posted
    except ValueError:
        pass
    raise Invalid("invalid_form", "The request is not a form as a browser would send it.")


def _add_parts(posted: Posted, body: bytes, boundary: bytes) -> None:
    for name, file_name, content in read_parts(body, boundary, _MAX_FIELDS):
        if file_name is None:
            posted.fields.setdefault(name, []).append(content.decode())
        elif file_name or content:  # browsers send an empty one where no file was chosen
            posted.files.setdefault(name, []).append(PostedFile(file_name, content))


def _pairs(body: bytes) -> list[tuple[str, str]]:
    text = body.decode("ascii")
    if not text:
        return []
    return parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MAX_FIELDS)
