"""Decorators, fields and contexts that authors of runbooks use."""
