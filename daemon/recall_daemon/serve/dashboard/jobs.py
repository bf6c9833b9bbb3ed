"""Background work: how far each job is, how it ended, and running it now. For admins."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from recall_daemon.access.caller import Caller
from recall_daemon.operations import Json, Operations
from recall_daemon.serve.dashboard import layout
from recall_daemon.serve.dashboard.text import Words, duration, moment, number, pairs
from recall_daemon.serve.dashboard.visit import Visit
from recall_daemon.store.jobs import JobRun

INTERVAL_S = 2.0


def install() -> None:
    ui.page("/jobs", response_timeout=30)(jobs)


async def jobs(request: Request) -> None:
    visit = Visit(request)
    with layout.page(visit, "Jobs"):
        if not visit.is_admin:
            layout.notice("This takes an admin's token.", "bad")
            return
        shown = _Jobs(visit)
        await shown.refresh()
        ui.timer(INTERVAL_S, shown.refresh, immediate=False)


class _Jobs:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._shown: Json | None = None
        self._place = ui.element("div").classes("jobs")

    async def refresh(self) -> None:
        """Draw the jobs anew where one has moved."""

        def work(_: Operations, caller: Caller) -> Json:
            caller.check_admin()
            return self._visit.dashboard.jobs.listed()

        listed = await self._visit.read(work)
        if listed is None or listed == self._shown:
            return
        self._shown = listed
        self._place.clear()
        with self._place:
            for job in listed["jobs"]:
                self._job(job)

    def _job(self, job: Json) -> None:
        running = job["state"] == "running"
        with ui.element("article").classes("memory"):
            Words(job["kind"], "h2")
            state = job["state"] or "never ran"
            Words(state, "p", f"state {state.replace(' ', '-')}")
            if running:
                _progress(job)
            pairs(
                (
                    ("Every", job["every_s"] and duration(job["every_s"])),
                    ("Began", job["started_at"] and moment(job["started_at"])),
                    ("Ended", job["finished_at"] and moment(job["finished_at"])),
                    ("Said", job["detail"]),
                )
            )
            with ui.element("div").classes("actions"):
                button = Words("Run now", "button")
                button.props(f'type=button aria-label="Run {job["kind"]} now"')
                button._props["disabled"] = running
                button.on("click", lambda kind=job["kind"]: self._run(kind))

    async def _run(self, kind: str) -> None:
        async def start(caller: Caller) -> JobRun:
            return await self._visit.dashboard.jobs.start(kind, actor=caller.name)

        if await self._visit.do(start) is not None:
            await self.refresh()


def _progress(job: Json) -> None:
    done, total = job["done"], job["total"]
    bar = ui.element("progress").props(f'aria-label="{job["kind"]}"')
    if total:
        bar.props(f"max={total} value={done}")
    Words(f"{number(done)} of {number(total)}" if total else number(done), "p", "quiet")
