"""Works over and over until it is killed: `child.py backup|restore FOLDER URL`."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from recall_daemon.backup import restore
from recall_daemon.backup.archive import make_archive
from recall_daemon.jobs import Progress
from recall_daemon.settings import HubSettings
from recall_daemon.store.store import Store
from recall_wire.buckets import Bucket, open_bucket

HUB = "0123456789ab"


def main() -> None:
    command, folder, url = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    bucket = open_bucket(url)
    print("at work", flush=True)
    {"backup": back_up, "restore": restore_}[command](folder, bucket)


def back_up(folder: Path, bucket: Bucket) -> None:
    store = Store(folder)
    settings = HubSettings(data_dir=folder)
    archive = make_archive(settings, store, bucket, now=lambda: datetime.now(UTC))
    while True:
        archive.backups.run(Progress())


def restore_(folder: Path, bucket: Bucket) -> None:
    while True:
        restore.prepare(bucket, folder, hub_id=HUB, to=None, memory_bytes=1 << 28)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
