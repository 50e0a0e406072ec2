"""Responses: reading their errors, waits and IDs, and removing the credentials that they repeat."""
