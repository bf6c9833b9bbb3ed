"""Which ways to the hub the settings allow, in the order they are tried."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from recall_uploader.app import Instance
from recall_uploader.errors import HubRefused
from recall_uploader.identity import NOTHING, Newest
from recall_uploader.lazy import Lazy
from recall_uploader.methods.base import Patience, SyncMethod
from recall_uploader.methods.cloud import CloudMethod
from recall_uploader.methods.push import PushMethod
from recall_uploader.state import Committed
from recall_wire.errors import BucketRefused, RecallError, SettingsInvalid, TransientError

PATH_ERRORS = (TransientError, BucketRefused, HubRefused)
"""What is wrong with one way to the hub, and not with what is sent on it."""

RESERVED = 1 / 3


def open_methods(instance: Instance, stack: ExitStack) -> list[SyncMethod]:
    """By `force_method` and by what is configured. Raises `SettingsInvalid` where that is none."""
    settings = instance.settings
    methods: list[SyncMethod] = []
    if instance.connect is not None and settings.force_method != "http":
        methods.append(
            CloudMethod(
                Lazy(instance.connect, stack),
                part_bytes=settings.part_bytes,
                parts_in_flight=settings.parts_in_flight,
                path=f"cloud {settings.bucket_url} {settings.s3_endpoint_url}",
            )
        )
    if instance.connect_hub is not None and _may_push(instance):
        methods.append(
            PushMethod(
                Lazy(instance.connect_hub, stack),
                folder=settings.state_folder / "tmp",
                time_zone=settings.time_zone,
                final=instance.connect is None or settings.force_method == "http",
                path=f"http {settings.hub_url}",
            )
        )
    if not methods:
        raise SettingsInvalid(
            "no bucket is set",
            hint="set RECALL_BUCKET_URL, or bucket_url in the settings file, to "
            "s3://bucket[/prefix] or file:///folder; `recall init` asks for it",
        )
    return methods


@dataclass(frozen=True, slots=True)
class Start:
    """Where an instance without a state goes on.

    `newest` is the highest snapshot that any way knows: the hub may be ahead of the bucket by what
    was pushed, the bucket of the hub by what was not pulled yet. `committed` is the bucket's own
    newest; none where the bucket did not answer.
    """

    newest: Newest
    committed: Committed
    warnings: tuple[str, ...] = ()


def find_start(
    methods: Sequence[SyncMethod], system_id: str, patience: Patience, *, need_first: bool = False
) -> Start:
    """Ask every way. Raises the first way's error where none answers, or where that one must."""
    errors: list[RecallError] = []
    answers: dict[str, Newest] = {}
    for method, given in each_in_time(methods, patience):
        try:
            answers[method.name] = method.newest(system_id, given)
        except PATH_ERRORS as error:
            errors.append(error)
            if need_first and method is methods[0]:
                break
    if not answers:
        raise errors[0]
    in_bucket = answers.get("cloud", NOTHING)
    newest = max(answers.values(), key=lambda found: found.seq)
    return Start(newest, in_bucket.committed, tuple(map(str, errors)))


def uses_bucket(methods: Sequence[SyncMethod]) -> bool:
    return any(method.name == "cloud" for method in methods)


def each_in_time(
    methods: Sequence[SyncMethod], patience: Patience
) -> list[tuple[SyncMethod, Patience]]:
    """Each way with its time: the last may use all that is left, those before leave it some."""
    some = patience.until(patience.deadline.sooner(RESERVED))
    return [(method, some) for method in methods[:-1]] + [(methods[-1], patience)]


def _may_push(instance: Instance) -> bool:
    settings = instance.settings
    if settings.force_method == "auto":
        return settings.enable_fallback or instance.connect is None
    return settings.force_method == "http"
