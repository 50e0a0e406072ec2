"""Pages for humans: what goes on, and forms for what is asked. They work without JavaScript."""

from .interface import Site
from .routes import Pages

__all__ = ["Pages", "Site"]
