"""HTTP/1.1 as a client needs it (RFC 9112): write a request in one piece, read a response within limits and a deadline.

Strict where laxness lets messages be mixed up: a response of ambiguous length is refused, and its connection is not
used again. It knows neither urllib3 nor asyncio: `Parser` takes bytes from anywhere, and `StreamReader` feeds it from
any stream that keeps a deadline.

A traceback may show local variables, and servers may repeat what they were sent, the API key included. So no bytes, of
either direction, are bound to a local name where something may be raised.
"""

from .bodies import as_response, decode_body
from .heads import Head, body_length, is_reusable, parse_head, render_head
from .parser import FIRST_READ, MAX_HEAD, Parser, Stream, StreamReader, whole_response

__all__ = [
    "FIRST_READ",
    "MAX_HEAD",
    "Head",
    "Parser",
    "Stream",
    "StreamReader",
    "as_response",
    "body_length",
    "decode_body",
    "is_reusable",
    "parse_head",
    "render_head",
    "whole_response",
]
