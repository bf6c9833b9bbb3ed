"""The job `pull`: every configured instance, as often as the settings say."""

from __future__ import annotations

from datetime import timedelta

from recall_daemon.errors import JobFailed
from recall_daemon.jobs import Job, Progress
from recall_daemon.pull.sync import Json, Pull, Step

KIND = "pull"


def pull_job(pull: Pull, *, interval_s: float, limit: int) -> Job:
    """It does not wait for embeddings: the backlog has them anyway. 0: by command only."""

    async def work(progress: Progress) -> None:
        def tell(step: Step) -> None:
            progress.update(step.done, step.total)

        answer = await pull.sync_all_instances(limit=limit, wait=False, on_progress=tell)
        told = _told(answer)
        if all(one["failed"] for one in answer["instances"]):
            raise JobFailed(told)
        progress.update(len(answer["instances"]), detail=told)

    every = timedelta(seconds=interval_s) if interval_s else None
    return Job(KIND, every, work, is_needed=lambda: pull.instances.any)


def _told(answer: Json) -> str:
    said = f"{answer['memories_synced']} of {answer['memories_fetched']} memories were new"
    errors = [f"{error['url']}: {error['error']}" for error in answer["errors"][:3]]
    lacking = [f"{one['url']}: {one['note']}" for one in answer["instances"] if one["note"]][:3]
    return "; ".join([said, *errors, *lacking])
