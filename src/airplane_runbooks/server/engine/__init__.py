"""Engines, which decide when, and on which thread or machine, segments are executed."""
