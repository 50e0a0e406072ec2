"""Pages for humans: the sessions and their steps, and a form for each open prompt. They work without JavaScript."""

from .interface import PageContext
from .routes import PageRoutes

__all__ = ["PageContext", "PageRoutes"]
