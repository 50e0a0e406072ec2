"""Default transport of the sync client, on urllib3's pools."""

from ._transport import DEFAULT_POOL_SIZE, Urllib3Transport

__all__ = ["DEFAULT_POOL_SIZE", "Urllib3Transport"]
