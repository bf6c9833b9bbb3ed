"""Locks, changes and releases over and over until it is killed: `locking_child.py FOLDER`.

Says each fence as soon as it has it, and again once what was written with it is durable.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from recall_daemon.store import leasing, ledger, locks
from recall_daemon.store.leasing import Claim, Proof
from recall_daemon.store.store import Connection, Store

NAME, HOLDER, LEASE = ("laptop", "m"), "child", timedelta(seconds=300)


def main() -> None:
    store = Store(Path(sys.argv[1]))
    while True:
        now = datetime.now(UTC)
        taken = store.write(
            lambda c, now=now: leasing.acquire(c, Claim(NAME, HOLDER, LEASE, now), now)  # type: ignore[misc]
        )
        assert taken.lock is not None
        proof = Proof(NAME, HOLDER, taken.lock.fence)
        print(f"had {proof.fence}", flush=True)
        store.write(lambda c, proof=proof: change(c, proof))  # type: ignore[misc]
        print(f"wrote {proof.fence}", flush=True)
        store.write(lambda c, proof=proof: leasing.release(c, proof, datetime.now(UTC)))  # type: ignore[misc]


def change(connection: Connection, proof: Proof) -> None:
    """What a mutation is here: a fact, under the fence."""
    now = datetime.now(UTC)
    locks.check(connection, [NAME], holder=HOLDER, fences=proof.fence, now=now)
    ledger.set_fact(connection, "written", str(proof.fence))


if __name__ == "__main__":
    main()
