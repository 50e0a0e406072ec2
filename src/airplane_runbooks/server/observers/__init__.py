"""Observers of the events of a server: tracing and logging."""
