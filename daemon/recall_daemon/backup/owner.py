"""Two hubs with one id: noticed before the second one writes over the first one's record.

The object `hub/<hub_id>/owner` names the data folder that writes under this id. A restored store
takes it over; the hub it came from, if it still runs, is refused at its next look.
"""

from __future__ import annotations

import json
import uuid

from recall_daemon.errors import HubClash
from recall_daemon.store import ledger
from recall_daemon.store.store import Connection, Store
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import ObjectNotFound, PreconditionFailed

_HOLDER = "holder"
_TAKES_OVER = "takes_over"
_MAX_BYTES = 4096


def hub_id(store: Store) -> str:
    with store.read() as connection:
        found = ledger.fact(connection, "hub_id")
    assert found is not None, "app names the hub before anything else"
    return found


def make_heir(connection: Connection) -> None:
    """Have this store, a restored one, take its hub id over when it first reaches the bucket.

    Its changes from now on are others than those of the store that was backed up, so that no
    index of that one is taken for its own.
    """
    ledger.set_fact(connection, ledger.STORE_ID, uuid.uuid4().hex)
    ledger.set_fact(connection, _HOLDER, uuid.uuid4().hex)
    ledger.set_fact(connection, _TAKES_OVER, "yes")


def check_owner(bucket: Bucket, store: Store) -> None:
    """Raises `HubClash` where another data folder has taken this hub's id over. Idempotent."""
    key = layout.owner_key(hub_id(store))
    with store.read() as connection:
        holder = ledger.fact(connection, _HOLDER)
        takes_over = ledger.fact(connection, _TAKES_OVER) == "yes"
    if holder is None:
        holder = uuid.uuid4().hex
        store.write(lambda connection: ledger.set_fact(connection, _HOLDER, holder))
    if takes_over:
        bucket.put(key, _body(holder))
        store.write(lambda connection: ledger.set_fact(connection, _TAKES_OVER, "no"))
    elif _read(bucket, key, holder) != holder:
        raise HubClash(
            f"another recalld works under this hub's id: {key} names another data folder",
            hint="stop one of the two; if the other one is gone, delete that object",
        )


def _read(bucket: Bucket, key: str, holder: str) -> str | None:
    """Who the bucket names, this one being put there where it names nobody."""
    try:
        return _holder(bucket.get(key, max_bytes=_MAX_BYTES))
    except ObjectNotFound:
        pass
    try:
        bucket.put(key, _body(holder), if_absent=True)
    except PreconditionFailed:
        return _holder(bucket.get(key, max_bytes=_MAX_BYTES))
    return holder


def _body(holder: str) -> bytes:
    return json.dumps({"holder": holder}).encode()


def _holder(data: bytes) -> str | None:
    try:
        return str(json.loads(data)["holder"])
    except (ValueError, KeyError, TypeError):
        return None
