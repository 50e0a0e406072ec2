"""Use the SDK against a server in this process: `python demo.py`."""

from __future__ import annotations

import logging
import sys

import shop
from acme_ops import Ops, OpsFailed, OpsRefused, ticket

from airplane_runbooks.server import RunbookServer


def main() -> None:
    """Call each operation, and show what the log and the errors say."""
    logging.basicConfig(format="    %(name)s: %(message)s", stream=sys.stdout)
    logging.getLogger("acme_ops").setLevel(logging.INFO)
    with (
        RunbookServer([shop.refund, shop.open_invoices]) as server,
        Ops.connect("billing", server.api_key, base_url=server.base_url) as ops,
    ):
        print(ops.open_invoices("ada@example.com", at_most=2))
        with ticket("OPS-12"):
            print(ops.refund("ada@example.com", 1290))
        try:
            ops.refund("bob@example.com", 1290)
        except OpsFailed as error:
            print(f"OpsFailed: {error}")
        try:
            ops.refund("ada", 1290)
        except OpsRefused as error:
            print(f"OpsRefused: {error}")


if __name__ == "__main__":
    main()
