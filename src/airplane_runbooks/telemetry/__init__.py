"""Spans and metrics by the OpenTelemetry API alone, for client and server: components that raise change no result."""
