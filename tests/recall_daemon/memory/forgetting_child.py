"""A process that forgets, to be killed: `forgetting_child.py DATA_FOLDER BUCKET_FOLDER QUERY`.

It prints a line when it begins, and one when it has the receipt.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from recall_daemon.app import open_forgetting
from recall_daemon.core import open_core
from recall_daemon.memory.criteria import Criteria
from recall_daemon.settings import HubSettings

NOW = datetime(2027, 6, 1, tzinfo=UTC)


def forget(data_dir: Path, bucket: Path, query: str) -> None:
    """By words, on the disk and in the bucket."""
    settings = HubSettings(data_dir=data_dir, bucket_url=f"file://{bucket}", embedder="hash")
    with open_core(settings, now=lambda: NOW) as core, open_forgetting(core) as forgetting:
        print("begun", flush=True)
        forgetting.forget(Criteria(query=query), rewrite=True)
        print("done", flush=True)


if __name__ == "__main__":
    forget(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
