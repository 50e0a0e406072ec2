"""Transport on urllib3, the default of the sync client."""

from ._transport import Urllib3Transport

__all__ = ["Urllib3Transport"]
