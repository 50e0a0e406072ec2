"""Runbooks of an operations team. `airplane-runbooks serve ops` serves them.

The refund is the one of the package's demo, `airplane_runbooks.server.demo`.
"""

from airplane_runbooks.server.demo import refund

from .failover import failover
from .onboarding import onboard

__all__ = ["failover", "onboard", "refund"]
