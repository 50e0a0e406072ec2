"""Observers of the events of a server: tracing, metrics and logging."""
