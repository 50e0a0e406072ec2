"""Regular expressions of constraints, matched in linear time."""
