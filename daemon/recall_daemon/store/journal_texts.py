"""The entries of the journal that hold texts of memories, and taking those of some out."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from recall_daemon.store import post_entries, versions
from recall_daemon.store.store import Connection

KINDS = (post_entries.KIND, versions.KIND)

Body = dict[str, Any]


def ids(kind: str, body: Body) -> set[str]:
    """The memories, of the system that the body names, whose texts an entry may hold."""
    if kind == versions.KIND:
        return {str(body["memory_id"])}
    return {str(row["memory_id"]) for row in body["rows"]} if kind in KINDS else set()


def holds(kind: str, body: Body, system_id: str, wanted: Collection[str]) -> int:
    """How many rows of an entry have content of these memories."""
    if kind == versions.KIND:
        is_one = body["system_id"] == system_id and body["memory_id"] in wanted
        return int(is_one and bool(body.get("versions") or body.get("served")))
    return post_entries.holds(body, system_id, wanted) if kind in KINDS else 0


def without(kind: str, body: Body, wanted: Collection[str]) -> Body:
    """The entry without the content of these memories."""
    if kind == versions.KIND:
        if body["memory_id"] not in wanted:
            return body
        return {"system_id": body["system_id"], "memory_id": body["memory_id"], "versions": []}
    return post_entries.without(body, wanted) if kind in KINDS else body


def scrub(connection: Connection, system_id: str, wanted: Collection[str]) -> None:
    """Take the content of forgotten memories out of this store's journal, in the transaction that
    forgets them."""
    entries = connection.execute(
        "SELECT entry_no, kind, body FROM journal "
        "WHERE kind IN (?, ?) AND json_extract_string(body, '$.system_id') = ?",
        [*KINDS, system_id],
    ).fetchall()
    for entry_no, kind, text in entries:
        body = json.loads(text)
        if holds(kind, body, system_id, wanted):
            scrubbed = json.dumps(without(kind, body, wanted), ensure_ascii=False)
            connection.execute(
                "UPDATE journal SET body = ? WHERE entry_no = ?", [scrubbed, entry_no]
            )
