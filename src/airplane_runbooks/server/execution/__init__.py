"""Execution of one segment of a runbook, from its start to its pause or end."""
