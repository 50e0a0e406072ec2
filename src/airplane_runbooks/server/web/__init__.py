"""The API over HTTP, and what keeps its callers within bounds."""
