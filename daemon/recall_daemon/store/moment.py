"""Several questions about one moment: what is committed between them changes no answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from recall_daemon.store.store import Connection, Store


@contextmanager
def one_moment(store: Store) -> Iterator[Connection]:
    """As `Store.look_up`: for a few short questions whose answers are fetched whole."""
    with store.look_up() as connection:
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")
