"""The content of cold memories, fetched before the transaction that changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.naming import Naming
from recall_daemon.store.cold_files import ColdPlace
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Store
from recall_daemon.tiers.fetch import ColdTexts, FarContent
from recall_daemon.versions.content import FIELDS
from recall_wire.records import Record


class FarRecords:
    """Blocking: asks the bucket."""

    def __init__(self, store: Store, naming: Naming, far: ColdTexts) -> None:
        self._store = store
        self._naming = naming
        self._far = far

    def of(self, actor: Actor, name: str) -> Mapping[int, Record]:
        """By row id the whole content of the memory of that name, if it is cold. Raises what the
        bucket raises; nothing for a name that means no memory."""
        with self._store.look_up() as connection:
            found = self._naming.find_all(connection, actor, [name])
        return self.contents(list(found.values()))

    def contents(self, memories: Sequence[Memory]) -> Mapping[int, Record]:
        """By row id, of the cold ones among memories. Raises what the bucket raises."""
        cold = [memory for memory in memories if memory.cold_file is not None]
        places = [
            ColdPlace(memory.row_id, memory.cold_file, memory.cold_row)
            for memory in cold
            if memory.cold_file is not None and memory.cold_row is not None
        ]
        told = self._far.contents(places)
        records = {}
        for memory in cold:
            content = told[memory.row_id]
            if not isinstance(content, FarContent):
                raise content
            records[memory.row_id] = _record(memory, content)
        return records


def _record(memory: Memory, content: FarContent) -> Record:
    values = {name: getattr(memory, name) for name in FIELDS}
    whole = replace(memory, text=content.text, metadata=content.metadata)
    values |= {"text": whole.text, "metadata": whole.metadata or "{}"}
    return Record(memory.memory_id, **{**values, "tags": tuple(memory.tags or ())})
