"""What lies beside a memory, on its page: importance, versions, relations, locks, shares."""

from __future__ import annotations

from typing import Final

from nicegui import ui

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.shared import Shared
from recall_daemon.operations import Json
from recall_daemon.serve.dashboard import layout
from recall_daemon.serve.dashboard.acts import Acts, Redraw
from recall_daemon.serve.dashboard.text import (
    Words,
    address,
    heading,
    link,
    moment,
    pairs,
    table,
)
from recall_daemon.serve.dashboard.visit import Visit

VERSIONS_MAX: Final = 50
_BRIEF_CHARS: Final = 160


async def show_beside(visit: Visit, system_id: str, memory_id: str, redraw: Redraw) -> None:
    """As far as whoever looks may see it."""
    name = f"{system_id}/{memory_id}"

    def work(shared: Shared, actor: Actor) -> Json:
        return {
            "memory": shared.memories.get(actor, name)["memory"],
            "versions": shared.review.versions(actor, name)["versions"],
            "related": shared.relations.related(actor, name)["related_memories"],
            "shares": shared.sharing.list(actor, name)["shares"],
            "groups": shared.groups.list(actor, name)["groups"],
            **visit.dashboard.stands(system_id, memory_id),
        }

    told = await visit.ask(work)
    if told is None:
        return
    _stands(told)
    Acts(visit, told["memory"], redraw).show()
    _versions(told["versions"])
    _related(told["related"])
    _shares(told["shares"])


def _stands(told: Json) -> None:
    memory, lock = told["memory"], told["lock"]
    heading("Among agents")
    if told["has_conflicts"]:
        with layout.notice("", "warn"):
            link("Several changed it at the same time: decide", "/conflicts")
    base = memory["base_importance"]
    pairs(
        (
            ("Importance now", f"{memory['importance']:.3f}, falling from {base:.3f}"),
            ("Fades as", memory["memory_tier"]),
            ("Type", memory["memory_type"]),
            ("Categories", ", ".join(memory["categories"])),
            ("Groups", ", ".join(one["name"] for one in told["groups"])),
            ("Pinned", "yes" if memory["pinned"] else None),
            ("Version", memory["version"]),
            ("Locked by", lock and f"{lock['holder']}, until {moment(lock['expires_at'])}"),
        )
    )


def _versions(versions: list[Json]) -> None:
    heading("Versions")
    rows = [
        (
            moment(one["written_at"]),
            one["agent_id"] or one["author"] or "-",
            one["kind"] + (", withdrawn" if one["withdrawn"] else ""),
            "served" if one["served"] else "",
            _brief(one["content"]),
        )
        for one in versions[:VERSIONS_MAX]
    ]
    table("Versions", ("Written", "By", "Kind", "State", "Text"), rows)
    if len(versions) > VERSIONS_MAX:
        layout.notice(f"And {len(versions) - VERSIONS_MAX} older ones: `recalld versions`.")


def _related(related: list[Json]) -> None:
    if not related:
        return
    heading("Relationships")
    with ui.element("ul").classes("turns"):
        for one in related:
            said, other = one["relationship"], one["memory"]
            to = "→" if said["direction"] == "outgoing" else "←"
            with ui.element("li"):
                Words(f"{to} {said['type']} ({said['strength']:.2f}) ")
                page = address("/memory", system=other["system_id"], id=other["memory_id"])
                link(_brief(other["content"]) or other["memory_id"], page)


def _shares(shares: list[Json]) -> None:
    if not shares:
        return
    heading("Shares")
    rows = [
        (
            one["agent"],
            one["permission"],
            one["granted_by"],
            moment(one["expires_at"]) if one["expires_at"] else "never",
        )
        for one in shares
    ]
    table("Shares", ("Agent", "May", "By", "Ends"), rows)


def _brief(text: str | None) -> str:
    if text is None:
        return "(not kept any more)"
    return text[:_BRIEF_CHARS] + ("…" if len(text) > _BRIEF_CHARS else "")
