from __future__ import annotations

from tests.support.postgres import another_postgres_url, postgres, postgres_url

__all__ = ["another_postgres_url", "postgres", "postgres_url"]
