"""What the hub counts and measures, for Prometheus: every metric's name, labels and meaning.

Labels are bounded: no system, token, memory or path is ever one. What concerns a single system is
in `GET /v1/systems`. Counting takes about a microsecond and no lock that anything else holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from time import perf_counter
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody asks for

REGISTRY: Final = CollectorRegistry()

_QUICK_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 6 * 3600, 86_400)


def _counter(name: str, said: str, *labels: str) -> Counter:
    return Counter(name, said, labels, registry=REGISTRY)


def _gauge(name: str, said: str, *labels: str) -> Gauge:
    return Gauge(name, said, labels, registry=REGISTRY)


def _histogram(name: str, said: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, said, labels, registry=REGISTRY, buckets=buckets)


# The process: memory, CPU time, open files, start.
ProcessCollector(registry=REGISTRY)
_gauge("recalld_build_info", "1, with the version as its label.", "version").labels(
    version("recalld")
).set(1)

# Bringing memories in

POLLS = _counter("recalld_polls", "Polls by outcome: ok, partly, failed.", "outcome")
POLL_SECONDS = _histogram("recalld_poll_seconds", "How long a poll took.", _SLOW_S)
BUCKET_REQUESTS = _counter(
    "recalld_bucket_requests",
    "Requests to the bucket by kind and outcome: ok, absent, refused, unreachable. "
    "A page of a listing is one.",
    "kind",
    "outcome",
)
SNAPSHOTS = _counter(
    "recalld_snapshots",
    "Snapshots by outcome: merged, quarantined, refused, postponed (tried again later).",
    "outcome",
)
ROWS_MERGED = _counter("recalld_rows_merged", "Rows of snapshots that changed the store.")
PUSHES = _counter(
    "recalld_pushes", "Commits of pushed snapshots: merged, dropped, refused.", "outcome"
)
POSTS = _counter(
    "recalld_posts", "Writes to the hub itself, by outcome: stored, failed.", "outcome"
)
ROWS_POSTED = _counter("recalld_rows_posted", "Memories in writes that were acknowledged.")
LAG_SECONDS = _histogram(
    "recalld_lag_seconds",
    "merge: from a head's writing, by the bucket's clock, to the merge of all it announced; "
    "words: from a merge to its rows being found by words; vectors: to their being embedded.",
    _SLOW_S,
    "stage",
)
SYNC_LATENCY_SECONDS = _histogram(
    "memory_sync_latency_seconds",
    "From the making of a snapshot on its machine, by that machine's clock, to its merge.",
    _SLOW_S,
)

# What there is: set once a poll at most (see `measure`)

SYSTEMS = _gauge("recalld_systems", "Systems that the hub knows.")
LAG_MAX_SECONDS = _gauge(
    "recalld_system_lag_max_seconds",
    "How long something has been announced and not merged, of the system furthest behind.",
)
MISSING = _gauge("recalld_snapshots_missing", "Snapshot numbers that are missing, in all systems.")
QUARANTINED = _gauge("recalld_snapshots_in_quarantine", "Snapshots in quarantine now.")
CLASHES = _gauge("recalld_systems_in_conflict", "Systems that two instances write to.")
ROWS = _gauge("recalld_rows", "Live rows by tier.", "tier")
BACKLOG = _gauge("recalld_backlog_texts", "Texts that wait to be embedded.")
FAISS_INDEX_SIZE = _gauge("faiss_index_size", "Vectors that searches compare with.")
INDEX_ROWS = _gauge("recalld_index_rows", "Rows in the index.")
DISK_FREE_BYTES = _gauge("recalld_disk_free_bytes", "Free where the data folder is.")
STORE_BYTES = _gauge("recalld_store_bytes", "The store's file with its write-ahead log.")
DEGRADED = _gauge(
    "recalld_degraded", "1 while a part of the hub is away: index, model, bucket, disk.", "part"
)
JOB_DONE_AT = _gauge(
    "recalld_job_last_success_timestamp_seconds", "When the newest run of a job was done.", "kind"
)

# Serving

SEARCH_SECONDS = _histogram(
    "recalld_search_seconds",
    "Searches by mode and outcome: ok, degraded (by words alone), refused, failed.",
    _QUICK_S,
    "mode",
    "outcome",
)
HTTP_REQUESTS = _counter(
    "recalld_http_requests",
    "Answers by route template, method and status.",
    "route",
    "method",
    "status",
)
HTTP_SECONDS = _histogram("recalld_http_seconds", "How long an answer took.", _QUICK_S, "route")
REFUSED = _counter(
    "recalld_tokens_refused",
    "Requests without a good token (unauthorized), or beyond what theirs may do (forbidden).",
    "reason",
)
SUBSCRIBERS = _gauge("recalld_event_subscribers", "Streams of events that are open.")

# Background

JOBS = _counter(
    "recalld_jobs", "Runs of background jobs that ended: done, failed.", "kind", "outcome"
)
BREAKER_OPEN = _gauge(
    "recalld_breaker_open",
    "1 while the hub leaves alone what failed, until its next turn: bucket (the last poll), pull "
    "(a configured instance, all its tries), model (its last loading).",
    "breaker",
)
CONSISTENCY_ERRORS = _counter(
    "memory_consistency_errors",
    "Problems that `verify` found: store, agents (beside memories), index, cold; and what "
    "reconciliation repaired: row_missing, row_outdated, row_deleted, row_words, text_vectors, "
    "side_rows, heads.",
    "error_type",
)

# Series that an alert looks at are there from the start: `increase` of one that begins at 1 is 0.
for _outcome in ("ok", "partly", "failed"):
    POLLS.labels(_outcome)
for _outcome in ("merged", "quarantined", "refused", "postponed"):
    SNAPSHOTS.labels(_outcome)
for _type in ("store", "agents", "index", "cold"):
    CONSISTENCY_ERRORS.labels(_type)
for _reason in ("unauthorized", "forbidden"):
    REFUSED.labels(_reason)
for _mode in ("hybrid", "words", "meaning"):
    SEARCH_SECONDS.labels(_mode, "failed")
for _outcome in ("stored", "failed"):
    POSTS.labels(_outcome)
for _outcome in ("merged", "dropped", "refused"):
    PUSHES.labels(_outcome)
for _part in ("bucket", "pull", "model"):
    BREAKER_OPEN.labels(_part)


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    """Observes how long the block took, also where it raises."""
    started = perf_counter()
    try:
        yield
    finally:
        histogram.observe(perf_counter() - started)
