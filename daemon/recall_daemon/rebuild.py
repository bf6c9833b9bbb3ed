"""Making the index anew from the store, beside the one that serves; a job."""

from __future__ import annotations

from recall_daemon.index.follower import Index
from recall_daemon.jobs import Job, Progress
from recall_daemon.store.memories import StoreFeed

KIND = "rebuild"


def rebuild_job(index: Index, feed: StoreFeed) -> Job:
    """Runs only when it is asked for: what is damaged is made anew at each start by itself."""

    def work(progress: Progress) -> None:
        index.rebuild(feed, lambda done, total: progress.update(done, total, "reading the store"))
        counts = index.counts
        told = f"{counts.rows} rows and {counts.vectors} vectors"
        if counts.lacking_rows:
            told += f"; the texts of {counts.lacking_rows} cold rows could not be fetched yet"
        total = feed.last_change()
        progress.update(total, total, told)

    return Job(KIND, None, work)
