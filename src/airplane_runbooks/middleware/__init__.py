"""Middleware: the protocol that users implement, and the client's own layers, one file each."""

from .interface import Middleware, Next

__all__ = ["Middleware", "Next"]
