"""The agents' answers as short text for a model."""

from __future__ import annotations

from collections.abc import Iterable

from recall_daemon.serve.mcp.agents import relating_shapes, shapes

# Of one memory that is read, and of one in a list.
TEXT_CHARS = 20_000
BRIEF_CHARS = 300
# Of all that is read at once.
TOTAL_CHARS = 100_000
LINES_MAX = 50


def added(told: shapes.Added) -> str:
    return f"Added {told.system_id}/{told.memory_id}, version {told.version}."


def added_many(told: shapes.AddedMany) -> str:
    return f"Added {len(told.memory_ids)}:\n" + _lines(told.memory_ids)


def updated(told: shapes.Updated) -> str:
    said = {
        "advanced": "Changed.",
        "unchanged": "Nothing changed: it says that already.",
        "merged": "Changed, and merged with what others changed meanwhile.",
    }.get(told.outcome, f"Others changed the same: conflict {told.conflict_id}.")
    return f"{said} {told.system_id}/{told.memory_id} serves version {told.served}."


def deleted(told: shapes.Deleted) -> str:
    return (
        f"Deleted {len(told.deleted_ids)}; deletion {told.deletion_id} can be undone for a while:\n"
        + _lines(told.deleted_ids)
    )


def restored(told: shapes.Restored) -> str:
    return f"Brought back {len(told.restored_ids)}:\n" + _lines(told.restored_ids)


def fate(told: shapes.Fate) -> str:
    undo = (
        f" undo_delete {told.deletion_id} brings it back until {told.until}." if told.until else ""
    )
    return f"{told.system_id}/{told.memory_id} is {told.state}: {told.why}.{undo}"


def memories(told: shapes.Memories) -> str:
    blocks = _within([_memory(one, TEXT_CHARS) for one in told.memories])
    if told.missing:
        blocks.append("Not there, or not to be seen: " + ", ".join(told.missing[:LINES_MAX]))
    return "\n\n".join(blocks) or "There are no memories."


def results(told: shapes.Results) -> str:
    blocks = _within([_memory(one, BRIEF_CHARS) for one in told.results])
    return "\n\n".join(blocks) or "There are no memories."


def reinforced(told: shapes.Reinforced) -> str:
    return f"{told.system_id}/{told.memory_id} has importance {told.new_importance:.2f} now."


def versions(told: shapes.Versions) -> str:
    lines = [
        f"{one.version_id} · {one.kind} · {_who(one.author, one.agent_id)} · {one.written_at}"
        f"{' · served' if one.served else ''}{' · withdrawn' if one.withdrawn else ''}\n"
        f"{_cut(one.content, BRIEF_CHARS) or '(not kept any more)'}"
        for one in told.versions
    ]
    return "\n\n".join([f"{told.system_id}/{told.memory_id}", *_within(lines)])


def related_now(told: relating_shapes.RelationshipId) -> str:
    return f"Relationship {told.relationship_id} is there."


def unrelated(told: relating_shapes.RelationshipId) -> str:
    return f"Relationship {told.relationship_id} is no more."


def related_memories(told: relating_shapes.RelatedMemories) -> str:
    blocks = [
        f"{one.relationship.direction} {one.relationship.type}, strength "
        f"{one.relationship.strength:.2f} (relationship {one.relationship.relationship_id})\n"
        + _memory(one.memory, BRIEF_CHARS)
        for one in told.related_memories
    ]
    return "\n\n".join(_within(blocks)) or "It is related to nothing that you may see."


def group(told: relating_shapes.GroupId) -> str:
    return f"Group {told.group_id} is made."


def groups(told: relating_shapes.Groups) -> str:
    lines = [f"{one.group_id}: {one.name}" for one in told.groups]
    more = [] if told.next_before is None else [f"More: before={told.next_before}."]
    return "\n".join([*_within(lines), *more]) or "There is no group that you may see."


def grouped(told: relating_shapes.AddedToGroup) -> str:
    return f"{told.added} are new to the group."


def session(told: relating_shapes.SessionId) -> str:
    return f"Session {told.session_id}."


def shared(told: shapes.Shared) -> str:
    numbers = ", ".join(str(number) for number in told.share_ids)
    return f"Shared {told.system_id}/{told.memory_id}: share {numbers}."


def revoked(told: shapes.Revoked) -> str:
    return f"Share {told.share_id} is taken back."


def shares(told: shapes.Shares) -> str:
    lines = [
        f"{one.share_id}: {one.system_id}/{one.memory_id} for {one.agent} to {one.permission}, "
        f"by {one.granted_by}" + (f", until {one.expires_at}" if one.expires_at else "")
        for one in told.shares
    ]
    return _lines(lines) or "There are no shares."


def rules(told: shapes.ShareRules) -> str:
    return _lines([_rule(one) for one in told.rules]) or "There are no share rules."


def _rule(one: shapes.ShareRule) -> str:
    named = (("category", one.category), ("tag", one.tag))
    what = " and ".join(f"{what} {label}" for what, label in named if label is not None)
    by = one.source_agent or "anybody"
    return f"{one.rule_id}: {what} of {by} for {', '.join(one.targets)}, by {one.made_by}"


def rule_made(told: shapes.RuleMade) -> str:
    return f"Rule {told.rule_id} counts from the next read on."


def rule_revoked(told: shapes.RuleRevoked) -> str:
    return f"Rule {told.rule_id} is taken back."


def hits(told: shapes.AgentHits) -> str:
    blocks = [_hit(number, one) for number, one in enumerate(told.results, 1)]
    notes = ["(Found by words alone: the hub has no model at present.)"] if told.degraded else []
    return "\n\n".join([*notes, *(_within(blocks) or ["No memory was found."])])


def _hit(number: int, one: shapes.AgentHit) -> str:
    score = "" if one.score is None else f" · score {one.score:.2f}"
    return f"[{number}] {one.seen_by}{score}\n{_memory(one.memory, BRIEF_CHARS)}"


def slice_of(told: shapes.Slice) -> str:
    counted = ", ".join(f"{name} {count}" for name, count in told.statistics.items())
    blocks = [
        _memory(one.memory, BRIEF_CHARS)
        + (f"\n(locked by {one.sync_metadata.lock_holder})" if one.sync_metadata.is_locked else "")
        + ("\n(in conflict)" if one.sync_metadata.has_conflicts else "")
        for one in told.memory_slice
    ]
    more = [f"(More with cursor {told.next_cursor}.)"] if told.next_cursor else []
    return "\n\n".join([f"{told.agent_id}: {counted}", *_within(blocks), *more])


def agents(told: shapes.Agents) -> str:
    lines = [
        f"{one.name}: priority {one.priority}, kept {one.retention_days or '∞'} days, conflicts by "
        f"{one.conflict_strategy or 'the default'}"
        + (f", for {', '.join(one.specialities)}" if one.specialities else "")
        for one in told.agents
    ]
    return _lines(lines) or "The hub is set up for no agents."


def counts(told: shapes.Counts) -> str:
    return ", ".join(f"{name} {value}" for name, value in told.model_dump().items())


def lock(told: shapes.LockHad) -> str:
    one = told.lock
    name = f"{one.system_id}/{one.memory_id}"
    if one.depth == 0:
        return f"{name} is free."
    return f"{name} is yours until {one.expires_at}: send fence {one.fence} with each change."


def locks(told: shapes.Locks) -> str:
    held = [
        f"{one.system_id}/{one.memory_id}: {one.holder}, until {one.expires_at}"
        for one in told.locks
    ]
    line = [
        f"{one.system_id}/{one.memory_id}: {one.holder} waits until {one.waits_until}"
        for one in told.waiting
    ]
    return _lines([*held, *line]) or "Nothing is locked."


def coordinator(told: shapes.Coordinator) -> str:
    return (
        f"Agents: {', '.join(told.agents) or 'none'}. Sharing {told.grants_version}.\n{locks(told)}"
    )


def forced(told: shapes.Forced) -> str:
    one = told.released
    return (
        f"{one.system_id}/{one.memory_id} was taken from {one.holder}; fence {one.fence} is void."
    )


def conflicts(told: shapes.Conflicts) -> str:
    lines = [
        f"{one.conflict_id}: {one.system_id}/{one.memory_id}, {', '.join(one.fields)}, {one.state} "
        f"since {one.detected_at}"
        for one in told.conflicts
    ]
    more = [f"(More with cursor {told.next_cursor}.)"] if told.next_cursor else []
    return "\n".join([_lines(lines) or "There are no conflicts.", *more])


def both_sides(told: shapes.BothSides) -> str:
    head = f"{told.system_id}/{told.memory_id} · {told.state} · differs in {', '.join(told.fields)}"
    sides = [_side("ours", told.ours), _side("theirs", told.theirs)]
    diff = ["diff:\n" + _cut("\n".join(told.diff), TEXT_CHARS)] if told.diff else []
    return "\n\n".join([head, *sides, *diff])


def _side(name: str, side: shapes.Side) -> str:
    said = (side.record or {}).get("content")
    about = f"{name}, {_who(side.author, side.agent_id)}, {side.written_at or 'no time'}"
    return f"{about}:\n{_cut(said, TEXT_CHARS) or '(not kept any more)'}"


def resolved(told: shapes.Resolved) -> str:
    more = f"; open: {', '.join(told.open)}" if told.open else ""
    return f"Conflict {told.conflict_id} is {told.state}; served: version {told.version}{more}."


def _memory(one: shapes.AgentMemory, chars: int) -> str:
    parts = [
        f"{one.system_id} / {one.memory_id}",
        one.memory_type,
        f"importance {one.importance:.2f}",
        f"agent {one.agent_id}" if one.agent_id else "",
        f"version {one.version}",
        one.created_at or "no time",
    ]
    lines = [" · ".join(part for part in parts if part)]
    if one.tags or one.categories:
        lines.append(f"tags: {', '.join([*one.tags, *one.categories])}")
    missing = one.text_missing and f"(Its text cannot be read now: {one.text_missing})"
    return "\n".join([*lines, missing or _cut(one.content, chars) or "(it has no text)"])


def _cut(text: str | None, chars: int) -> str:
    return f"{text[:chars]} …" if text and len(text) > chars else text or ""


def _who(author: str | None, agent_id: str | None) -> str:
    return agent_id or author or "nobody named"


def _within(blocks: Iterable[str]) -> list[str]:
    """As many as fit, and how many are left."""
    kept: list[str] = []
    left, room = 0, TOTAL_CHARS
    for block in blocks:
        room -= len(block)
        if (room < 0 and kept) or left:
            left += 1
        else:
            kept.append(block)
    return [*kept, *([f"(… and {left} more: ask for fewer at once.)"] if left else [])]


def _lines(lines: list[str]) -> str:
    left = len(lines) - LINES_MAX
    return "\n".join([*lines[:LINES_MAX], *([f"… and {left} more"] if left > 0 else [])])
