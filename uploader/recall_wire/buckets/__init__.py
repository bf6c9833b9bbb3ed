"""Where snapshots lie: S3 and its relatives, or a folder, behind one interface.

`base` the interface · `keys` which keys are safe · `location` and `options` which bucket, and how
to reach it · `s3_session`, `s3_requests`, `s3_errors` what both S3 backends share · `s3` blocking,
for instances · `s3_async` for the hub · `folder_files`, `folder_listing`, `folder_uploads`,
`folder_errors`, `folder` a local or mounted folder · `threaded` a blocking bucket for the hub ·
`receiving` bytes into a new file · `multipart` a file into the bucket · `part_sender` its parts ·
`probe` what an endpoint honours.

Importing this package loads no client library: the factories below do, when they are called.
"""

from __future__ import annotations

from recall_wire.buckets.base import AsyncBucket, Bucket
from recall_wire.buckets.location import S3Location, parse_url
from recall_wire.buckets.options import S3Options

__all__ = [
    "AsyncBucket",
    "Bucket",
    "S3Options",
    "create_folder",
    "open_async_bucket",
    "open_bucket",
]


def open_bucket(url: str, options: S3Options | None = None) -> Bucket:
    """The bucket at `s3://bucket[/prefix]` or `file:///folder`, blocking; nothing is contacted yet.

    A folder must exist already and is never created: an empty folder made where a network drive is
    not mounted would look like an empty bucket. Raises `SettingsInvalid` for any other URL.
    """
    location = parse_url(url)
    if isinstance(location, S3Location):
        from recall_wire.buckets.s3 import S3Bucket

        return S3Bucket(location, options or S3Options())
    from recall_wire.buckets.folder import FolderBucket

    return FolderBucket(location.root)


def open_async_bucket(url: str, options: S3Options | None = None) -> AsyncBucket:
    """The same for an event loop. S3 needs the extra `daemon`; a folder is served by threads."""
    location = parse_url(url)
    if isinstance(location, S3Location):
        from recall_wire.buckets.s3_async import AsyncS3Bucket

        return AsyncS3Bucket(location, options or S3Options())
    from recall_wire.buckets.folder import FolderBucket
    from recall_wire.buckets.threaded import ThreadedBucket

    return ThreadedBucket(FolderBucket(location.root))


def create_folder(url: str) -> None:
    """Make the folder of a `file:///` bucket where only its parent is there; else do nothing.

    For a program that knows of no bucket yet. One that does must not: an empty folder, made where
    a network drive is not mounted, would look like a bucket that lost everything.
    """
    location = parse_url(url)
    if not isinstance(location, S3Location) and location.root.parent.is_dir():
        try:
            location.root.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            return  # opening it says what is wrong
