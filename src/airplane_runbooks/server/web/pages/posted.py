"""Fields of a form as a browser posts them."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from ...errors import Invalid

_MEDIA_TYPE = "application/x-www-form-urlencoded"
_MAX_FIELDS = 10_000


def read_fields(request: Request, body: bytes) -> dict[str, list[str]]:
    """Return the values of each field, none unless the request is a POST. Raises Invalid."""
    fields: dict[str, list[str]] = {}
    if request.method != "POST":
        return fields
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        pairs = _pairs(body) if media_type == _MEDIA_TYPE else None
    except ValueError:
        pairs = None
    if pairs is None:
        raise Invalid("invalid_form", "The request is not a form as a browser would send it.")
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _pairs(body: bytes) -> list[tuple[str, str]]:
    text = body.decode("ascii")
    if not text:
        return []
    return parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MAX_FIELDS)
