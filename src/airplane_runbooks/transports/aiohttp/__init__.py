"""Transport on aiohttp; needs the extra `aiohttp`."""

from ..._extras import needs_extra

with needs_extra("aiohttp", __name__):
    from ._transport import AiohttpTransport

__all__ = ["AiohttpTransport"]
