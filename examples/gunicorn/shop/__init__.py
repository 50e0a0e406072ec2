"""A shop whose web service starts runbooks, and a demo of it."""
