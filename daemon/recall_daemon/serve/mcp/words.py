"""Answers as short text for a model: what was found, where it came from, and how to go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from recall_daemon.serve.mcp.shapes import (
    AllSystemsHits,
    BatchStored,
    Brief,
    Forgotten,
    Hit,
    Hits,
    Memory,
    Pulled,
    Recent,
    Related,
    Stats,
    Stored,
    Systems,
)

LINES_MAX = 50
ERRORS_MAX = 10


def hits(found: Hits) -> str:
    if not found.hits:
        return _with_notes(found, "No memory was found.")
    blocks = [_hit(number, hit) for number, hit in enumerate(found.hits, 1)]
    if any(not hit.is_whole for hit in found.hits):
        blocks.append("(… stands for text left out: get_memory gives the whole of a memory.)")
    if found.next_offset is not None:
        blocks.append(f"(More with offset {found.next_offset}.)")
    return _with_notes(found, "\n\n".join(blocks))


def _with_notes(found: Hits, text: str) -> str:
    notes = []
    if found.degraded:
        notes.append("(Found by words alone: the hub has no model at present.)")
    if found.incomplete:
        notes.append("(The index is still being made: memories may be missing.)")
    return "\n".join([*notes, text])


def _hit(number: int, hit: Hit) -> str:
    told = f" · told by {hit.told_by} memories" if hit.told_by > 1 else ""
    head = f"[{number}] {_origin(hit)} · score {hit.score:.2f}{told}"
    return f"{head}\n{_passage(hit.passage, hit.is_whole)}"


def _origin(one: Hit | Brief | Memory) -> str:
    """Which memory, of what kind, of where and of when."""
    parts = [
        f"{one.system_id} / {one.memory_id}",
        one.kind,
        f"project {one.project}" if one.project else "",
        f"session {one.session_id}" if one.session_id else "",
        f"agent {one.agent_id}" if one.agent_id else "",
        _minute(one.created_at) or "no time",
    ]
    return " · ".join(part for part in parts if part)


def _minute(moment: str | None) -> str:
    """2026-01-31T12:00:00+00:00 → 2026-01-31 12:00 UTC."""
    return f"{moment[:16].replace('T', ' ')} UTC" if moment else ""


def _passage(text: str | None, is_whole: bool) -> str:
    return f"{text or '(it has no text)'}{'' if is_whole else ' …'}"


def memory(found: Memory) -> str:
    end = found.offset + len(found.text or "")
    lines = [_origin(found)]
    if found.tags:
        lines.append(f"tags: {', '.join(found.tags)}")
    if found.text_missing:
        lines.append(f"(Its text cannot be read now: {found.text_missing})")
        lines += [f"It is about: {found.summary}"] if found.summary else []
    else:
        lines += ["", _passage(found.text, is_whole=end >= found.text_chars)]
    if end < found.text_chars:
        lines.append(f"\n({found.text_chars - end} characters are left: offset {end}.)")
    return "\n".join(lines)


def recent(found: Recent) -> str:
    if not found.memories:
        return "There are no memories."
    more = ["(Older ones with this cursor: " + found.next_cursor + ")"] if found.next_cursor else []
    return "\n\n".join([*_briefs(found.memories), *more])


def related(found: Related) -> str:
    near = [
        f"[{number}] {_origin(one)} · cosine {one.score:.2f}\n{_passage(one.text, one.is_whole)}"
        for number, one in enumerate(found.nearest, 1)
    ]
    nothing = "Nothing near it." if found.embedded else "Its meaning is not known yet."
    parts = [
        ("Before it in its session:", _briefs(found.before)),
        ("After it in its session:", _briefs(found.after)),
        ("Nearest in meaning:", near or [nothing]),
    ]
    return "\n\n".join(f"{title}\n" + "\n\n".join(said) for title, said in parts if said)


def _briefs(memories: Iterable[Brief]) -> list[str]:
    return [f"{_origin(one)}\n{_passage(one.text, one.is_whole)}" for one in memories]


def systems(found: Systems) -> str:
    if not found.systems:
        return "There are no systems."
    lines = [
        f"{one.system_id}: {one.rows} memories, merged {_minute(one.last_merged_at) or 'never'}"
        + (f", {one.lag_s:.0f} s behind" if one.lag_s else "")
        + (f", {one.quarantined} quarantined" if one.quarantined else "")
        for one in found.systems
    ]
    return _some(lines, LINES_MAX, "systems")


def stats(found: Stats) -> str:
    search = "by words alone (no model)" if found.degraded else "by words and meaning"
    return (
        f"{found.rows} memories of {found.systems} systems; search goes {search}; "
        f"{found.backlog} texts wait for their vectors; {found.lagging} systems are behind, "
        f"{found.quarantined} snapshots are quarantined."
    )


def stored(found: Stored) -> str:
    if found.status == "failed":
        return f"Not stored: {found.error}"
    return f"Stored {found.memory_id} at {found.stored_at}."


def batch(found: BatchStored) -> str:
    lines = [f"{found.stored} of {found.total} memories are stored."]
    lines += [f"{one.memory_id}: {one.error}" for one in found.errors]
    return _some(lines, ERRORS_MAX + 1, "errors")


def forgotten(found: Forgotten) -> str:
    lines = [f"Forgotten for ever: {', '.join(found.ids) or 'nothing new'}."]
    if found.forgotten_before:
        lines.append(f"{found.forgotten_before} were forgotten before.")
    if found.still_in:
        lines.append(f"{found.still_in} objects of the bucket still hold it: see `recalld forget`.")
    return "\n".join([*lines, *found.notes])


def pulled(found: Pulled) -> str:
    lines = [f"{found.memories_synced} of {found.memories_fetched} memories came in."]
    lines += [f"{one.url or one.memory_id}: {one.error}" for one in found.errors]
    return _some(lines, ERRORS_MAX + 1, "errors")


def all_systems(found: AllSystemsHits) -> str:
    if not found.results:
        return "No memory was found."
    return "\n\n".join(
        f"[{number}] {one.system_id} / {one.conversation_id} · "
        f"{_minute(one.timestamp) or 'no time'} · similarity {one.similarity:.2f}\n{one.content}"
        for number, one in enumerate(found.results, 1)
    )


def _some(lines: Sequence[str], most: int, of_what: str) -> str:
    left = len(lines) - most
    return "\n".join([*lines[:most], *([f"… and {left} more {of_what}"] if left > 0 else [])])
