"""Pages for humans: what goes on, and forms for what is asked. They work without JavaScript."""

from .site import Pages
from .visits import Site

__all__ = ["Pages", "Site"]
