"""Two hubs with one id: noticed before the second one writes over the first one's record.

The object `hub/<hub_id>/owner` names the data folder that writes under this id. A restored store
takes it over when it first works as a hub; the one it came from, if it still runs, is refused at
its next look.
"""

from __future__ import annotations

import json
import uuid

from recall_daemon.backup.replay import replay
from recall_daemon.errors import HubClash
from recall_daemon.store import jobs, ledger
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
    """Have this store, a restored one, take its hub id over when it first works as a hub.

    Its changes from now on are others than those of the store that was backed up, so that no
    index of that one is taken for its own. What ran when that one was copied does not run here.
    """
    jobs.drop_running(connection)
    ledger.set_fact(connection, ledger.STORE_ID, uuid.uuid4().hex)
    ledger.set_fact(connection, _HOLDER, uuid.uuid4().hex)
    ledger.set_fact(connection, _TAKES_OVER, "yes")


def take_over(bucket: Bucket, store: Store) -> None:
    """Make a restored store the owner of its hub id, if it is not yet. Idempotent.

    What the hub before it wrote into the log since the restore is taken in: it was acknowledged
    there, and its numbers are given. Raises what the bucket raises.
    """
    with store.read() as connection:
        if ledger.fact(connection, _TAKES_OVER) != "yes":
            return
    own = hub_id(store)
    bucket.put(layout.owner_key(own), _body(_own_holder(store)))
    replay(store, bucket, own, to=None)
    store.write(lambda connection: ledger.set_fact(connection, _TAKES_OVER, "no"))


def check_owner(bucket: Bucket, store: Store) -> None:
    """Raises `HubClash` where another data folder has taken this hub's id over. Idempotent."""
    take_over(bucket, store)
    key = layout.owner_key(hub_id(store))
    holder = _own_holder(store)
    if _read(bucket, key, holder) != holder:
        raise HubClash(
            f"another recalld works under this hub's id: {key} names another data folder",
            hint="a hub that was restored from this one has taken over: stop this one, keep its "
            "folder, and ask that one; if it is that one which is gone, delete the object",
        )


def _own_holder(store: Store) -> str:
    """What names this data folder, given to it at the first look."""
    with store.read() as connection:
        holder = ledger.fact(connection, _HOLDER)
    if holder is None:
        holder = uuid.uuid4().hex
        store.write(lambda connection: ledger.set_fact(connection, _HOLDER, holder))
    return holder


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
