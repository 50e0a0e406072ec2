"""A process with a durable engine, to be killed, frozen and asked: `python engine_child.py URL JOURNAL`.

It takes lines from its input, such as `start a.1`, and answers each with a line. Its work writes `begin JOB` and
`end JOB` to the journal, and stays in between for as long as there is a file JOURNAL.JOB.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import sqlalchemy as sa

from airplane_runbooks.server.engine.dbos import DbosEngine

URL, JOURNAL = sys.argv[1:]


def note(event, job_id):
    with Path(JOURNAL).open("a") as journal:
        journal.write(f"{event} {job_id} {os.getpid()}\n")


def reply(word):
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def work(job_id, **_):
    note("begin", job_id)
    while Path(f"{JOURNAL}.{job_id}").exists():
        time.sleep(0.01)
    note("end", job_id)
    return False


def main():
    database = sa.create_engine(URL, pool_size=10, max_overflow=10)
    engine = DbosEngine(database, workers=4)
    engine.open(work)
    reply("open")
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "recover":
            engine.recover(arguments)
        elif command == "close":
            engine.close(float(arguments[0]))
        else:
            getattr(engine, command)(*arguments)
        reply("done")


main()
