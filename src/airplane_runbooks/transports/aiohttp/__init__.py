"""Transport on aiohttp; needs the extra `aiohttp`."""

from ._transport import AiohttpTransport

__all__ = ["AiohttpTransport"]
