"""A FastAPI service in front of runbooks."""
