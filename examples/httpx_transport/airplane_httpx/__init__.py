"""A transport of airplane-runbooks over httpx."""

from .transport import HttpxTransport

__all__ = ["HttpxTransport"]
