"""Spans, metrics and their guard."""
