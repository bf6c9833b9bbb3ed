"""What somebody does with a memory on its page: edit, reinforce, share, delete, have it back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from nicegui import ui

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.editing import Terms
from recall_daemon.agents.shared import Shared
from recall_daemon.errors import MemoryNotFound
from recall_daemon.operations import Json
from recall_daemon.serve.dashboard import layout
from recall_daemon.serve.dashboard.layout import asking
from recall_daemon.serve.dashboard.text import Words, button, moment
from recall_daemon.serve.dashboard.visit import Visit

EDITED_MAX_CHARS: Final = 100_000
Redraw = Callable[[], Awaitable[None]]

_OUTCOMES: Final = {
    "advanced": "Stored",
    "unchanged": "It says that already",
    "merged": "Stored, with what others changed meanwhile",
    "conflict": "Others changed the same meanwhile: see the conflicts",
}


class Acts:
    """Buttons under a memory, for whoever may write to its system. The agents' rules decide in the
    end; a memory that is locked is changed by who holds its lock, by the API."""

    def __init__(self, visit: Visit, memory: Json, redraw: Redraw) -> None:
        self._do = partial(_do, visit, redraw)
        self._visit = visit
        self._memory = memory
        self._name = f"{memory['system_id']}/{memory['memory_id']}"

    def show(self) -> None:
        if not self._visit.may_write(self._memory["system_id"]):
            return
        text = self._memory["content"]
        with ui.element("div").classes("actions"):
            if text is not None and len(text) <= EDITED_MAX_CHARS:
                button("Edit…", f"Edit {self._name}", self._ask_to_edit)
            button("Reinforce", f"Reinforce {self._name}", self._reinforce)
            button("Share…", f"Share {self._name}", self._ask_to_share)
            button("Delete…", f"Delete {self._name}", self._ask_to_delete)

    def _ask_to_edit(self) -> None:
        async def store() -> None:
            terms = Terms(base_version=self._memory["version"])
            changes = {"content": said.value}
            await self._do(
                lambda shared, actor: shared.editing.update(actor, self._name, changes, terms),
                lambda told: _OUTCOMES[told["outcome"]],
                dialog,
            )

        with asking(f"Edit {self._name}", "wide") as dialog:
            said = ui.textarea(value=self._memory["content"]).props(
                f'outlined autogrow autofocus aria-label="Text" maxlength={EDITED_MAX_CHARS}'
            )
            with ui.element("div").classes("actions"):
                button("Store it", "Store the text", store, "primary")
                button("Cancel", "Cancel", dialog.close)

    async def _reinforce(self) -> None:
        await self._do(
            lambda shared, actor: shared.reinforcing.reinforce(actor, self._name),
            lambda told: f"Its importance is {told['new_importance']:.3f} now",
        )

    def _ask_to_share(self) -> None:
        async def share() -> None:
            agents = [part.strip() for part in named.value.split(",") if part.strip()]
            permission: Any = "write" if writes.value else "read"
            await self._do(
                lambda shared, actor: shared.sharing.share_with_agents(
                    actor, self._name, agents, permission=permission
                ),
                lambda _: "Shared",
                dialog,
            )

        with asking(f"Share {self._name}") as dialog:
            Words("With which agents? Several with commas.")
            named = ui.input().props('outlined autofocus aria-label="Agents" maxlength=1000')
            writes = ui.checkbox("They may change it, too")
            with ui.element("div").classes("actions"):
                button("Share it", "Share it", share, "primary")
                button("Cancel", "Cancel", dialog.close)

    def _ask_to_delete(self) -> None:
        async def delete() -> None:
            cascade = bool(below.value)
            await self._do(
                lambda shared, actor: shared.deleting.delete(actor, self._name, cascade=cascade),
                lambda told: f"Deleted: {len(told['deleted_ids'])}",
                dialog,
            )

        with asking(f"Delete {self._name}?") as dialog:
            Words("It can be brought back from this page until it is purged.")
            below = ui.checkbox("With all that hangs below it", value=True)
            with ui.element("div").classes("actions"):
                button("Delete it", "Delete it", delete, "danger")
                button("Leave it", "Leave it", dialog.close)


async def show_fate(visit: Visit, name: str, redraw: Redraw) -> bool:
    """What became of a memory that is not there, and having it back; False where nobody may know
    that there was one."""
    told = await visit.ask(partial(_fate, name=name))
    if told is None or told["state"] == "live":
        return False
    layout.notice(f"It is {told['state']}: {told['why']}", "warn")
    if told["until"] is None or not visit.may_write(told["system_id"]):
        return True
    Words(f"It can be brought back until {moment(told['until'])}.", "p", "quiet")
    deletion_id = told["deletion_id"]
    restore = partial(
        _do,
        visit,
        redraw,
        lambda shared, actor: shared.deleting.undo(actor, deletion_id),
        lambda done: f"Brought back: {len(done['restored_ids'])}",
    )
    with ui.element("div").classes("actions"):
        button("Bring it back", f"Bring {name} back", restore, "primary")
    return True


def _fate(shared: Shared, actor: Actor, name: str) -> Json | None:
    try:
        return shared.fates.fate(actor, name)
    except MemoryNotFound:
        return None


async def _do(
    visit: Visit,
    redraw: Redraw,
    work: Callable[[Shared, Actor], Json],
    said: Callable[[Json], str],
    dialog: ui.dialog | None = None,
) -> None:
    """Where it was done the dialog that asked is closed, and the page is drawn anew: all on it may
    have changed."""
    told = await visit.ask(work)
    if told is None:
        return
    if dialog is not None:
        dialog.close()
    visit.say(said(told))
    await redraw()
