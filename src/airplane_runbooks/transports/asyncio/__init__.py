"""Transport on asyncio's own connections. It is the default one of the async client."""

from ._transport import AsyncioTransport

__all__ = ["AsyncioTransport"]
