"""The text of a module of typed calls, made from the runbooks that a server lists. Pure: no I/O."""

from .module import module_of

__all__ = ["module_of"]
