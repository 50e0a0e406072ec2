"""JSON API under `/v0`."""
