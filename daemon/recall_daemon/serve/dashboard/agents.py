"""Agents that share memories: what each has, who holds locks, and what is shared with whom."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from fastapi import Request
from nicegui import ui

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.shared import Shared
from recall_daemon.operations import Json
from recall_daemon.serve.dashboard import layout
from recall_daemon.serve.dashboard.layout import asking
from recall_daemon.serve.dashboard.text import (
    Words,
    address,
    button,
    heading,
    link,
    moment,
    number,
    pairs,
    size,
)
from recall_daemon.serve.dashboard.visit import Visit
from recall_daemon.store.shares import EVERYONE

INTERVAL_S: Final = 5.0
SHOWN_MAX: Final = 50
_TEXT_CHARS: Final = 300


def install() -> None:
    ui.page("/agents", response_timeout=30)(agents)


async def agents(request: Request) -> None:
    visit = Visit(request)
    name = visit.asked("name")
    with layout.page(visit, f"Agent {name}" if name else "Agents"):
        await (_slice(visit, name) if name else _all(visit))


async def _all(visit: Visit) -> None:
    told = await visit.ask(_counted)
    if told is None:
        return
    if not told:
        layout.notice("The settings name no agents, and none has written anything.")
    with ui.element("div").classes("jobs agents"):
        for one in told:
            _agent(one)
    shown = _Live(visit)
    await shown.refresh()
    ui.timer(INTERVAL_S, shown.refresh, immediate=False)


def _counted(shared: Shared, actor: Actor) -> list[Json]:
    """The agents of the settings, then others that wrote something, each with its counts."""
    known = {one["name"]: one for one in shared.statistics.agents(actor)["agents"]}
    wrote: Json = {}
    if actor.caller.is_admin or actor.caller.reach.is_everything:
        wrote = shared.statistics.get_sync_statistics(actor)["by_agent"]
    names = list(dict.fromkeys((*known, *wrote)))[:SHOWN_MAX]
    return [
        {
            **known.get(name, {"name": name, "unnamed": True}),
            **shared.slices.get_agent_memory_slice(actor, name, limit=1)["statistics"],
        }
        for name in names
    ]


def _agent(one: Json) -> None:
    with ui.element("article").classes("memory"):
        with ui.element("h2"):
            link(one["name"], address("/agents", name=one["name"]))
        if one.get("unnamed"):
            Words("The settings do not name it.", "p", "quiet")
        days = one.get("retention_days")
        pairs(
            (
                ("Memories", number(one["memories"])),
                ("Shared", number(one["shared"])),
                ("Locked", number(one["locked"])),
                ("In conflict", number(one["conflicts"])),
                ("Priority", one.get("priority")),
                ("Kept", days and f"{days:g} days"),
                ("Conflicts by", one.get("conflict_strategy")),
                ("Specialities", ", ".join(one.get("specialities", ()))),
                ("Closed to it", ", ".join(one.get("restricted_categories", ()))),
            )
        )


class _Live:
    """Locks, shares and share rules as they are now."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._shown: Json | None = None
        self._place = ui.element("div")

    async def refresh(self) -> None:
        """Draw them anew where something has changed."""
        told = await self._visit.ask(_live)
        if told is None or told == self._shown:
            return
        self._shown = told
        self._place.clear()
        with self._place:
            heading("Locks")
            self._locks(told)
            heading("Shares")
            self._shares(told["shares"])
            heading("Share rules")
            self._rules(told["rules"])

    def _locks(self, told: Json) -> None:
        if not told["locks"]:
            layout.notice("Nothing is locked.")
        for lock in told["locks"][:SHOWN_MAX]:
            waiting = [one for one in told["waiting"] if _name(one) == _name(lock)]
            with ui.element("article").classes("memory"):
                _memory_link(lock)
                pairs(
                    (
                        ("Held by", lock["holder"]),
                        ("Until", moment(lock["expires_at"])),
                        ("Waiting", ", ".join(one["holder"] for one in waiting)),
                    )
                )
                if self._visit.is_admin:
                    label = f"Take the lock of {_name(lock)} away"
                    button("Take away…", label, partial(self._ask_to_release, lock))

    def _shares(self, shares: list[Json]) -> None:
        if not shares:
            layout.notice("Nothing is shared one by one.")
        for share in shares[:SHOWN_MAX]:
            with ui.element("article").classes("memory"):
                _memory_link(share)
                pairs(
                    (
                        ("For", share["agent"]),
                        ("May", share["permission"]),
                        ("By", share["granted_by"]),
                        ("Since", moment(share["granted_at"])),
                        ("Until", share["expires_at"] and moment(share["expires_at"])),
                    )
                )
                if self._visit.may_write(share["system_id"]):
                    label = f"Revoke the share of {_name(share)} for {share['agent']}"
                    button("Revoke", label, partial(self._revoke, share["share_id"]))
        if len(shares) > SHOWN_MAX:
            layout.notice("And more: `recalld shares`.")

    def _rules(self, rules: list[Json]) -> None:
        if not rules:
            layout.notice("Nothing is shared by a rule.")
        for rule in rules[:SHOWN_MAX]:
            with ui.element("article").classes("memory"):
                Words(f"Rule {rule['rule_id']}", "h3")
                pairs(
                    (
                        ("Category", rule["category"]),
                        ("Tag", rule["tag"]),
                        ("Of", rule["source_agent"] or "anybody"),
                        (
                            "For",
                            "every agent"
                            if EVERYONE in rule["targets"]
                            else ", ".join(rule["targets"]),
                        ),
                        ("By", rule["made_by"]),
                        ("Since", moment(rule["made_at"])),
                    )
                )
                if self._visit.is_admin:
                    label = f"Revoke rule {rule['rule_id']}"
                    button("Revoke", label, partial(self._revoke_rule, rule["rule_id"]))
        if len(rules) > SHOWN_MAX:
            layout.notice("And more: `recalld shares rules`.")

    async def _revoke_rule(self, rule_id: int) -> None:
        await self._do(lambda shared, actor: shared.share_rules.revoke(actor, rule_id), "Revoked")

    async def _revoke(self, share_id: int) -> None:
        await self._do(lambda shared, actor: shared.sharing.revoke(actor, share_id), "Revoked")

    def _ask_to_release(self, lock: Json) -> None:
        async def take() -> None:
            dialog.close()
            await self._do(
                lambda shared, actor: shared.locks.force_release(
                    actor.caller, _name(lock), reason.value
                ),
                "Nobody holds it any more",
            )

        with asking(f"Take the lock of {_name(lock)} away?") as dialog:
            Words("What its holder writes from now on is refused. The audit log says why.")
            reason = ui.input().props('outlined autofocus aria-label="Why" maxlength=1000')
            with ui.element("div").classes("actions"):
                button("Take it away", "Take it away", take, "danger")
                button("Leave it", "Leave it", dialog.close)

    async def _do(self, work: Callable[[Shared, Actor], Json], said: str) -> None:
        if await self._visit.ask(work) is not None:
            with self._place.client:
                ui.notify(said, type="positive")
            await self.refresh()


def _live(shared: Shared, actor: Actor) -> Json:
    shares = shared.sharing.list(actor, limit=SHOWN_MAX + 1)
    return {**shared.locks.listed(actor), **shares, **shared.share_rules.list(actor)}


async def _slice(visit: Visit, name: str) -> None:
    cursor = visit.asked("cursor") or None

    def work(shared: Shared, actor: Actor) -> Json:
        told = shared.slices.get_agent_memory_slice(actor, name, cursor=cursor)
        return {**told, **shared.statistics.get_memory_allocation(actor, name)}

    told = await visit.ask(work)
    if told is None:
        return
    _allocation(told)
    heading("Memories")
    if not told["memory_slice"]:
        layout.notice("It has written nothing that you may see.")
    for one in told["memory_slice"]:
        _entry(one["memory"], one["sync_metadata"])
    if told["next_cursor"]:
        with ui.element("p").classes("pages"):
            link("Older ones", address("/agents", name=name, cursor=told["next_cursor"]))


def _allocation(told: Json) -> None:
    pairs(
        (
            ("Memories", number(told.get("memories"))),
            ("Shared", number(told.get("shared"))),
            ("Locked", number(told.get("locked"))),
            ("In conflict", number(told.get("conflicts"))),
            ("Texts", size(told.get("text_bytes", 0))),
            ("Vectors", size(told.get("vector_bytes", 0))),
            ("Versions", size(told.get("version_bytes", 0))),
            ("In all", size(told["total_bytes"])),
        )
    )


def _entry(memory: Json, state: Json) -> None:
    text = memory["content"] or memory["text_missing"] or "It has no text."
    with ui.element("article").classes("memory"):
        _memory_link(memory)
        Words(text[:_TEXT_CHARS] + ("…" if len(text) > _TEXT_CHARS else ""), "p", "text")
        said = (
            memory["system_id"],
            memory["memory_type"],
            f"importance {memory['importance']:.2f}",
            memory["created_at"] and moment(memory["created_at"]),
            state["is_locked"] and f"locked by {state['lock_holder']}",
            *(f"#{tag}" for tag in (*memory["tags"], *memory["categories"])),
        )
        with ui.element("ul").classes("origin"):
            for part in said:
                if part:
                    Words(part, "li")
            if state["has_conflicts"]:
                with ui.element("li"):
                    link("in conflict", "/conflicts")


def _memory_link(one: Json) -> None:
    with ui.element("h3"):
        name = f"{one['system_id']} / {one['memory_id']}"
        link(name, address("/memory", system=one["system_id"], id=one["memory_id"]))


def _name(one: Json) -> str:
    return f"{one['system_id']}/{one['memory_id']}"
