"""The version, in the one place where it is written down."""

__version__ = "1.0.0"
