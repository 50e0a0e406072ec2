"""The operations of Acme, for its teams: one method for each, and four errors."""

from .bundle import bundle, ticket
from .calls import OpenInvoices, Receipt, Refund
from .client import Ops
from .errors import OpsError, OpsFailed, OpsPending, OpsRefused, OpsUnavailable

__all__ = [
    "OpenInvoices",
    "Ops",
    "OpsError",
    "OpsFailed",
    "OpsPending",
    "OpsRefused",
    "OpsUnavailable",
    "Receipt",
    "Refund",
    "bundle",
    "ticket",
]
