"""A store whose memories age."""

from __future__ import annotations

import pytest

from recall_daemon.store.store import Store

from .shelf import Shelf


@pytest.fixture
def shelf(store: Store) -> Shelf:
    return Shelf(store)
