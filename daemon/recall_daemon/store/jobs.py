"""What became of each piece of background work: the table `jobs`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from recall_daemon.store import events
from recall_daemon.store.store import Connection, next_numbers

JobState = Literal["running", "done", "failed"]

# Finished runs that are kept of each kind.
KEPT_RUNS = 20

_COLUMNS = "job_id, kind, state, started_at, finished_at, done, total, detail"
_CUT_OFF = "the process ended before it was done"


@dataclass(frozen=True)
class JobRun:
    """One run of a job. `detail` is the last thing it said; why, where it failed."""

    job_id: int
    kind: str
    state: JobState
    started_at: datetime
    finished_at: datetime | None = None
    done: int = 0
    total: int | None = None
    detail: str | None = None


def begin(connection: Connection, kind: str, now: datetime) -> JobRun:
    """A new run of `kind`. The oldest finished runs of the kind beyond `KEPT_RUNS` go."""
    run = JobRun(next_numbers(connection, "job", 1), kind, "running", now)
    connection.execute(
        f"INSERT INTO jobs ({_COLUMNS}) VALUES (?, ?, ?, ?, NULL, 0, NULL, NULL)",
        [run.job_id, kind, run.state, now],
    )
    connection.execute(
        "DELETE FROM jobs WHERE kind = ? AND state <> 'running' AND job_id NOT IN ("
        "SELECT job_id FROM jobs WHERE kind = ? AND state <> 'running' "
        "ORDER BY job_id DESC LIMIT ?)",
        [kind, kind, KEPT_RUNS],
    )
    return run


def finish(connection: Connection, run: JobRun, *, quiet: bool = False) -> None:
    """Keep how a run ended: its state, `finished_at`, `done`, `total` and `detail`.

    It is told as an event; where `quiet`, only a failure is.
    """
    connection.execute(
        "UPDATE jobs SET state = ?, finished_at = ?, done = ?, total = ?, detail = ? "
        "WHERE job_id = ?",
        [run.state, run.finished_at, run.done, run.total, run.detail, run.job_id],
    )
    if run.state == "failed" or not quiet:
        _tell(connection, run)


def _tell(connection: Connection, run: JobRun) -> None:
    kind = "job.failed" if run.state == "failed" else "job.finished"
    now = run.finished_at or run.started_at
    body = {"job_id": run.job_id, "kind": run.kind, "done": run.done, "detail": run.detail}
    events.append(connection, kind, None, body, now)


def fail_left_over(connection: Connection, now: datetime) -> int:
    """Mark runs that a killed process left `running` as failed; returns how many."""
    rows = connection.execute(
        "UPDATE jobs SET state = 'failed', finished_at = ?, detail = ? "
        f"WHERE state = 'running' RETURNING {_COLUMNS}",
        [now, _CUT_OFF],
    ).fetchall()
    for row in rows:
        _tell(connection, JobRun(*row))
    return len(rows)


def drop_running(connection: Connection) -> None:
    """Forget runs that are under way: they are another process's, of which this is a copy."""
    connection.execute("DELETE FROM jobs WHERE state = 'running'")


def latest(connection: Connection) -> dict[str, JobRun]:
    """The newest run of each kind."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM jobs QUALIFY "
        "row_number() OVER (PARTITION BY kind ORDER BY job_id DESC) = 1 ORDER BY kind"
    ).fetchall()
    return {row[1]: JobRun(*row) for row in rows}
