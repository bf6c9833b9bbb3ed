"""Row groups of cold files: from the cache, else by range from the bucket, in parallel."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from recall_daemon.store import cold_files
from recall_daemon.store.cold_files import ColdFile, ColdPlace
from recall_daemon.store.store import Store
from recall_daemon.tiers import cold_object
from recall_daemon.tiers.cache import GroupCache, GroupKey
from recall_daemon.tiers.cold_object import Layout, Range
from recall_daemon.tiers.cold_store import ColdStore
from recall_daemon.tiers.errors import ColdAway, ColdDamaged
from recall_wire.errors import ObjectNotFound, ObjectTooShort, RecallError, TransientError

PARALLEL = 8
# Two ranges of one file with no more than this between them are one request.
GAP_BYTES = 64 << 10
RANGE_BYTES = 8 << 20
# Footers that are kept parsed; a quarter of a megabyte each.
LAYOUTS = 64

Group = tuple[int, int]  # file_no, row group
Files = Mapping[int, tuple[ColdFile, Layout]]


@dataclass(frozen=True)
class Located:
    """Places with their row groups, and how the files were laid out when they were looked up.

    What is asked of it later needs no file that the store has given up meanwhile.
    """

    groups: Mapping[ColdPlace, Group]
    files: Files

    def first_row(self, group: Group) -> int:
        """The position in its file of a row group's first row."""
        return self.files[group[0]][1].first_rows[group[1]]


@dataclass(frozen=True)
class _Request:
    """One range that holds the far columns of some row groups."""

    file: ColdFile
    layout: Layout
    groups: Sequence[int]
    range: Range


class Groups:
    """Reads row groups by place. Safe to call from several threads.

    Once the bucket did not answer, it is left alone for `timeout_s`, so that a search without it
    is as quick as one with it.
    """

    def __init__(
        self,
        store: Store,
        cold: ColdStore,
        cache: GroupCache,
        *,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._cold = cold
        self.cache = cache
        self.timeout_s = timeout_s
        self._clock = clock
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="recall-cold")
        self._lock = threading.Lock()
        self._layouts: OrderedDict[int, tuple[ColdFile, Layout]] = OrderedDict()
        self._away_until = 0.0
        self._away = ColdAway("")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def locate(self, places: Iterable[ColdPlace]) -> Located:
        """The row group of each place; one whose file is not known is left out."""
        wanted = list(places)
        files = self._files({place.file_no for place in wanted})
        groups = {
            place: (place.file_no, files[place.file_no][1].group_of(place.row))
            for place in wanted
            if place.file_no in files
        }
        return Located(groups, files)

    def read(
        self, located: Located, *, timeout_s: float | None = None, cached: bool = True
    ) -> dict[Group, pa.Table | RecallError]:
        """Columns text and metadata of each row group, or why they could not be had.

        All are asked for at once; what has not come within the time (that of the settings unless
        one is given) is `ColdAway`. With `cached` False the cache is neither asked nor filled: who
        reads everything would drive out what searches have read lately.
        """
        wanted, files = sorted(set(located.groups.values())), located.files
        data = self._cached(wanted, files) if cached else {}
        missing = [group for group in wanted if group not in data]
        fetched = self._fetch(_requests(missing, files), timeout_s or self.timeout_s, cached)
        return {
            group: cold_object.decode(files[group[0]][1], group[1], found)
            if isinstance(found, bytes)
            else found
            for group, found in (data | fetched).items()
        }

    def _files(self, file_nos: set[int]) -> dict[int, tuple[ColdFile, Layout]]:
        with self._lock:
            known = {no: self._layouts[no] for no in file_nos if no in self._layouts}
            for no in known:
                self._layouts.move_to_end(no)
        if len(known) < len(file_nos):
            with self._store.read() as connection:
                found = cold_files.find(connection, file_nos - known.keys())
            fresh = {
                no: (file, cold_object.layout_of(file.size, file.footer))
                for no, file in found.items()
            }
            known |= fresh
            self._remember(fresh)
        return known

    def _remember(self, fresh: dict[int, tuple[ColdFile, Layout]]) -> None:
        with self._lock:
            self._layouts.update(fresh)
            while len(self._layouts) > LAYOUTS:
                self._layouts.popitem(last=False)

    def _cached(self, wanted: Sequence[Group], files: Files) -> dict[Group, bytes | RecallError]:
        data: dict[Group, bytes | RecallError] = {}
        for file_no, group in wanted:
            file = files[file_no][0]
            key = GroupKey(file.sha256, group)
            found = self.cache.get(key, cold_object.expected(file, group))
            if found is not None:
                data[file_no, group] = found
        return data

    def _fetch(
        self, requests: Sequence[_Request], timeout_s: float, keep: bool
    ) -> dict[Group, bytes | RecallError]:
        if self._clock() < self._away_until:
            return {group: self._away for request in requests for group in _of(request)}
        running = {self._pool.submit(self._get, request, keep): request for request in requests}
        done, late = wait(running, timeout=timeout_s)
        answers: dict[Group, bytes | RecallError] = {}
        for future in done:
            answers |= _answer(future, running[future])
        if late:
            error = ColdAway(f"the bucket did not answer within {timeout_s:g} s")
            answers |= {group: error for future in late for group in _of(running[future])}
            for future in late:
                future.cancel()
        self._rest_after(answers.values())
        return answers

    def _rest_after(self, answers: Iterable[bytes | RecallError]) -> None:
        for answer in answers:
            if isinstance(answer, TransientError):
                self._away = ColdAway(str(answer))
                self._away_until = self._clock() + self.timeout_s

    def _get(self, request: _Request, keep: bool) -> dict[Group, bytes | RecallError]:
        """Each row group's bytes, proven by its digest before anything reads them."""
        file, span = request.file, request.range
        data = self._cold.bucket.get_range(file.key, span.start, span.length)
        answers: dict[Group, bytes | RecallError] = {}
        for group in request.groups:
            at = request.layout.ranges[group]
            piece = data[at.start - span.start : at.start - span.start + at.length]
            if cold_object.digest(piece) == cold_object.expected(file, group):
                if keep:
                    self.cache.put(GroupKey(file.sha256, group), piece)
                answers[file.file_no, group] = piece
            else:
                answers[file.file_no, group] = ColdDamaged(f"the cold file {file.key} is damaged")
        return answers


def _requests(groups: Sequence[Group], files: Files) -> list[_Request]:
    """As few ranges as there can be with small gaps. `groups` is sorted."""
    requests = []
    for file_no, of_file in groupby(groups, key=lambda group: group[0]):
        file, layout = files[file_no]
        for together in _near([group for _, group in of_file], layout):
            first, last = layout.ranges[together[0]], layout.ranges[together[-1]]
            span = Range(first.start, last.start + last.length - first.start)
            requests.append(_Request(file, layout, together, span))
    return requests


def _near(groups: Sequence[int], layout: Layout) -> list[list[int]]:
    near: list[list[int]] = []
    for group in groups:
        here = layout.ranges[group]
        if near:
            first, last = layout.ranges[near[-1][0]], layout.ranges[near[-1][-1]]
            gap = here.start - (last.start + last.length)
            if gap <= GAP_BYTES and here.start + here.length - first.start <= RANGE_BYTES:
                near[-1].append(group)
                continue
        near.append([group])
    return near


def _of(request: _Request) -> list[Group]:
    return [(request.file.file_no, group) for group in request.groups]


def _answer(
    future: Future[dict[Group, bytes | RecallError]], request: _Request
) -> dict[Group, bytes | RecallError]:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, ObjectNotFound | ObjectTooShort):
        lost = ColdDamaged(f"the cold file {request.file.key} is missing or cut short")
        return dict.fromkeys(_of(request), lost)
    if isinstance(error, RecallError):
        return dict.fromkeys(_of(request), error)
    raise error
