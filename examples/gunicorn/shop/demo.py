"""A server of runbooks, gunicorn in front of a service that calls it, and a bad day: `python -m shop.demo`."""

from __future__ import annotations

from collections import Counter

from airplane_runbooks.server import Context, RunbookServer, runbook

from .fleet import gunicorn

refunded: Counter[str] = Counter()


@runbook
def refund(context: Context, order: str) -> None:
    """Give the money of an order back."""
    context.step(refunded.update, [order], name="give back")


def main() -> int:
    """Run the demo, and return the exit status: 0 if each order was refunded exactly once."""
    with RunbookServer([refund]) as server, gunicorn(server.api_key, server.base_url) as fleet:
        print(f"gunicorn   process {fleet.master.pid}, with the client made before the fork")
        for day, act in {"quiet": lambda: None, "kill": fleet.kill_a_worker, "reload": fleet.reload}.items():
            before = set(fleet.worker_of)
            fleet.refund_all([f"{day}-{number}" for number in range(100)], meanwhile=act)
            by_worker = Counter(worker for order, worker in fleet.worker_of.items() if order not in before)
            print(f"{day:10} 100 answers, by worker: {dict(by_worker)}")
    wrong = {order: count for order, count in refunded.items() if count != 1}
    print(f"refunds    {len(refunded)} orders; not exactly once: {wrong or 'none'}")
    return 0 if len(refunded) == 300 and not wrong else 1


if __name__ == "__main__":
    raise SystemExit(main())
