"""Brings the memories of many instances into the store, each instance on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from recall_daemon.errors import JobStopped, StoreBroken
from recall_daemon.memory.posts import Posts
from recall_daemon.metrics import BREAKER_OPEN
from recall_daemon.pull import known as facts
from recall_daemon.pull.answer import ROWS_MAX, Answer
from recall_daemon.pull.ask import Question
from recall_daemon.pull.embedding import Embedding
from recall_daemon.pull.errors import PullInvalid
from recall_daemon.pull.instances import Instance, Instances, normal_url, system_of
from recall_daemon.pull.known import Known
from recall_daemon.pull.memories import newest, read_memories, time_of
from recall_daemon.pull.outcome import Outcome, summary
from recall_daemon.store import posts as post_table
from recall_daemon.store.store import Store
from recall_wire.errors import RecallError
from recall_wire.records import Record

log = structlog.get_logger(__name__)

Json = dict[str, Any]

AT_ONCE = 16
URLS_MAX = 1_000
QUERY_MAX_CHARS = 1_000
# What an instance has that is older than what was read last, by this much, is asked for again:
# memories are not always written in the order of their times.
OVERLAP = timedelta(hours=1)
FIRST_LOOK = timedelta(hours=24)
_EPOCH = datetime(1970, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Step:
    """One more instance is done: `done` of `total`."""

    url: str
    done: int
    total: int
    outcome: Json


OnProgress = Callable[[Step], None]


@dataclass(frozen=True)
class _Wanted:
    """`limit` memories of each instance; the newest ones where only new ones are asked for."""

    question: Question
    limit: int
    incremental: bool


class Pull:
    """Used from one event loop."""

    def __init__(
        self,
        store: Store,
        posts: Posts,
        instances: Instances,
        *,
        embedding: Embedding,
        now: Callable[[], datetime],
        timeout_s: float | None = None,
    ) -> None:
        self._store = store
        self._posts = posts
        self.instances = instances
        self._embedding = embedding
        self._now = now
        self._timeout_s = timeout_s
        self._running: set[asyncio.Task[Json]] = set()
        self._failing: set[str] = set()

    async def sync_all_instances(
        self,
        instance_urls: Sequence[str] | None = None,
        query: str = "",
        limit: int = 100,
        incremental: bool = True,
        *,
        wait: bool = True,
        on_progress: OnProgress | None = None,
    ) -> Json:
        """Fetch up to `limit` memories of each instance, and store what is new or changed.

        `incremental`: those since the last time, the first time of the last 24 hours. `wait`: until
        their texts are embedded. → `{success, memories_fetched, memories_synced,
        embeddings_generated, errors: [{url, memory_id, error}], instances}`. Asking again changes
        nothing. What one instance does is in `errors`, and harms no other. Raises `PullInvalid`,
        and `JobStopped` where the hub is stopping.
        """
        urls = _urls(instance_urls or self.instances.urls)
        wanted = _wanted(query, limit, incremental)
        task = asyncio.create_task(self._all(urls, wanted, wait, on_progress))
        self._running.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if task in self._running:
                raise
            raise JobStopped("the hub is stopping", hint="ask again when it runs") from None
        finally:
            self._running.discard(task)

    def stop(self) -> None:
        """End what is under way; what is stored stays. Idempotent."""
        running, self._running = self._running, set()
        for task in running:
            task.cancel()
        self._embedding.stop()

    async def _all(
        self, urls: Sequence[str], wanted: _Wanted, wait: bool, on_progress: OnProgress | None
    ) -> Json:
        outcomes = [Outcome(url) for url in urls]
        places = asyncio.Semaphore(AT_ONCE)
        done = 0

        async def one(outcome: Outcome) -> None:
            nonlocal done
            async with places:
                await self._safely(outcome, wanted)
            done += 1
            if on_progress is not None:
                on_progress(Step(outcome.url, done, len(urls), outcome.to_json()))

        async with asyncio.TaskGroup() as group:
            for outcome in outcomes:
                group.create_task(one(outcome))
        self._tell_who_fails(outcomes)
        lacking = {name for outcome in outcomes for name in outcome.lacking}
        embedded = await asyncio.to_thread(self._embedding.embed, lacking) if wait else 0
        return summary(outcomes, embedded)

    def _tell_who_fails(self, outcomes: Sequence[Outcome]) -> None:
        """Of the configured ones: nobody has to ask another one again."""
        self._failing -= {outcome.url for outcome in outcomes}
        self._failing |= {outcome.url for outcome in outcomes if outcome.failed}
        self._failing &= set(self.instances.urls if self.instances.any else ())
        BREAKER_OPEN.labels("pull").set(bool(self._failing))

    async def _safely(self, outcome: Outcome, wanted: _Wanted) -> None:
        """What goes wrong with one instance is told as its own. Raises `StoreBroken` alone."""
        try:
            await self._one(outcome, wanted)
        except StoreBroken:
            raise
        except RecallError as error:
            outcome.fail(str(error))
            log.warning("pull.failed", url=outcome.url, why=type(error).__name__)
        except Exception as error:
            outcome.fail(f"{type(error).__name__} while its answer was read")
            log.exception("pull.failed", url=outcome.url)

    async def _one(self, outcome: Outcome, wanted: _Wanted) -> None:
        from recall_daemon.pull.client import TIMEOUT_S, MemorySyncClient

        instance = self.instances.find(outcome.url)
        known = await asyncio.to_thread(self._known, instance)
        began = self._now()
        timeout_s = self._timeout_s or TIMEOUT_S
        async with MemorySyncClient(
            instance.url, timeout_s, token=instance.token, speaks=known.speaks
        ) as client:
            answer = await client.ask(wanted.question)
        outcome.speaks = client.speaks
        outcome.system_id = known.system_id or system_of(instance.url, answer.name)
        since = (known.since or began - FIRST_LOOK) if wanted.incremental else None
        await asyncio.to_thread(self._keep, outcome, answer, since, wanted)
        learnt = replace(known, system_id=outcome.system_id, speaks=client.speaks)
        if outcome.note is None and not answer.problems and not wanted.question.query:
            learnt = replace(learnt, since=_read_to(answer, began, known.since))
        if learnt != known:
            # Only now: the rows are durable.
            await asyncio.to_thread(
                self._store.write, lambda connection: facts.write(connection, instance.url, learnt)
            )

    def _known(self, instance: Instance) -> Known:
        """What is remembered, unless the settings have it write another system by now."""
        with self._store.read() as connection:
            known = facts.read(connection, instance.url)
        if instance.system_id in (None, known.system_id):
            return known
        return Known(system_id=instance.system_id, speaks=known.speaks)

    def _keep(
        self, outcome: Outcome, answer: Answer, since: datetime | None, wanted: _Wanted
    ) -> None:
        """Store what is new. Blocking; durable when it returns."""
        for problem in answer.problems:
            outcome.add_error(problem)
        late = answer.memories if since is None else newest(answer.memories, since)
        taken = late[: wanted.limit]
        outcome.fetched = len(taken)
        outcome.note = _lacking(answer, len(late), wanted)
        read = read_memories(taken, outcome.url, now=self._now())
        for memory_id, error in read.errors:
            outcome.add_error(error, memory_id)
        assert outcome.system_id is not None
        fresh = self._fresh(outcome.system_id, list(read.records.values()))
        outcome.lacking = self._embedding.lacking(record.text for record in fresh)
        if fresh:
            self._posts.store(outcome.system_id, fresh, actor="pull", heeds_locks=False)
        outcome.synced = len(fresh)

    def _fresh(self, system_id: str, records: list[Record]) -> list[Record]:
        """Those that change something: what is posted again is written into the log again."""
        with self._store.read() as connection:
            known = post_table.known(connection, system_id, records)
        return [record for record in records if record.memory_id not in known]


def _urls(urls: Sequence[str]) -> list[str]:
    """Normal ones, each once. Raises `PullInvalid`."""
    if len(urls) > URLS_MAX:
        raise PullInvalid(f"{len(urls)} instances are too many", hint=f"at most {URLS_MAX}")
    return list(dict.fromkeys(normal_url(url) for url in urls))


def _wanted(query: str, limit: int, incremental: bool) -> _Wanted:
    """Raises `PullInvalid`. An instance cannot be asked by time, so it is asked for some more."""
    if not 1 <= limit <= ROWS_MAX:
        raise PullInvalid(f"limit is {limit}; 1 to {ROWS_MAX} are allowed")
    if len(query) > QUERY_MAX_CHARS:
        raise PullInvalid(f"the query has more than {QUERY_MAX_CHARS} characters")
    asked = min(2 * limit, ROWS_MAX) if incremental else limit
    return _Wanted(Question(query.strip(), asked), limit, incremental)


def _lacking(answer: Answer, late: int, wanted: _Wanted) -> str | None:
    """What of the instance's memories is known, or has to be feared, to be missing."""
    if answer.left_out is not None:
        return answer.left_out
    if late > wanted.limit:
        return f"{late - wanted.limit} more are there: ask with a higher limit"
    if len(answer.memories) >= wanted.question.limit:
        return f"it gave all {len(answer.memories)} that it was asked for: there may be more"
    return None


def _read_to(answer: Answer, began: datetime, known: datetime | None) -> datetime | None:
    """From where the next pull reads on.

    By the instance's own times, whose clock and zone may be any; but a time to come says nothing.
    """
    times = [when for when in map(time_of, answer.memories) if when is not None and when > _EPOCH]
    told = [known] if known is not None else []
    if times:
        told.append(min(began, max(times)) - OVERLAP)
    return max(told, default=None)
