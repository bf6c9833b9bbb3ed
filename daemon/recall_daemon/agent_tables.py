"""What a person sees on a terminal of agents and the memories that they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recall_daemon.operations import Json
from recall_daemon.tables import print_fields, short

_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def print_agents(console: Console, answer: Json) -> None:
    if not answer["agents"]:
        console.print("the settings name no agents")
        return
    columns = ("agent", "priority", "days", "conflicts", "specialities", "closed to it")
    rows = [
        (
            agent["name"],
            agent["priority"],
            "for ever" if agent["retention_days"] is None else f"{agent['retention_days']:g}",
            agent["conflict_strategy"] or "-",
            ", ".join(agent["specialities"]) or "-",
            ", ".join(agent["restricted_categories"]) or "-",
        )
        for agent in answer["agents"]
    ]
    _print_table(console, columns, rows)


def print_slice(console: Console, answer: Json) -> None:
    """The counts of the whole slice, then a line a memory."""
    counted = ", ".join(f"{name} {count}" for name, count in answer["statistics"].items())
    console.print(f"[bold]{escape(answer['agent_id'])}[/]  {counted}", soft_wrap=True)
    rows = [
        (
            _name(one["memory"]),
            _when(one["memory"]["created_at"]),
            f"{one['memory']['importance']:.2f}",
            one["sync_metadata"]["lock_holder"] or "-",
            "yes" if one["sync_metadata"]["has_conflicts"] else "-",
            _text(one["memory"]),
        )
        for one in answer["memory_slice"]
    ]
    _print_table(
        console, ("memory", "created", "importance", "locked by", "conflicts", "text"), rows
    )
    _more(console, "--cursor", answer["next_cursor"])


def print_statistics(console: Console, answer: Json) -> None:
    by_agent = ", ".join(f"{name} {count}" for name, count in answer["by_agent"].items())
    print_fields(console, {**answer, "by_agent": by_agent or "-"})


def print_conflicts(console: Console, answer: Json) -> None:
    if not answer["conflicts"]:
        console.print("no conflict waits")
        return
    rows = [
        (
            one["conflict_id"],
            _name(one),
            ", ".join(one["fields"]),
            one["state"],
            _when(one["detected_at"]),
            one["resolved_by"] or "-",
        )
        for one in answer["conflicts"]
    ]
    columns = ("conflict", "memory", "fields", "state", "since", "resolved by")
    _print_table(console, columns, rows)
    _more(console, "--cursor", answer["next_cursor"])


def print_conflict(console: Console, answer: Json) -> None:
    """Both sides with who said it, and how they differ."""
    sides = ("ours", "theirs", "base")
    print_fields(console, {k: v for k, v in answer.items() if k not in (*sides, "diff")})
    for name in sides:
        _print_side(console, name, answer[name])
    for line in answer["diff"]:
        style = _DIFF_STYLES.get(line[:1], "")
        console.print(_printable(line), style=style, markup=False, soft_wrap=True)


def _print_side(console: Console, name: str, side: Json | None) -> None:
    if side is None:
        return
    who = side.get("agent_id") or side.get("author") or "-"
    served = "  [green]served[/]" if side["served"] else ""
    when = _when(side.get("written_at"))
    console.print(f"\n[bold]{name}[/]  {escape(who)}  {when}{served}", soft_wrap=True)
    for field, value in (side["record"] or {"content": "(not kept any more)"}).items():
        if value not in (None, [], {}):
            console.print(f"  {field}: {_printable(str(value))}", markup=False, soft_wrap=True)


def print_shares(console: Console, answer: Json) -> None:
    if not answer["shares"]:
        console.print("nothing is shared")
        return
    rows = [
        (
            str(one["share_id"]),
            _name(one),
            one["agent"],
            one["permission"],
            one["granted_by"],
            _when(one["expires_at"]) if one["expires_at"] else "never",
        )
        for one in answer["shares"]
    ]
    _print_table(console, ("share", "memory", "agent", "may", "by", "expires"), rows)
    _more(console, "--before", answer["next_before"])


def print_rules(console: Console, answer: Json) -> None:
    if not answer["rules"]:
        console.print("no rule shares anything")
        return
    rows = [
        (
            str(one["rule_id"]),
            one["source_agent"] or "anybody",
            one["category"] or "any",
            one["tag"] or "any",
            ", ".join(one["targets"]),
            one["made_by"],
        )
        for one in answer["rules"]
    ]
    _print_table(console, ("rule", "of", "category", "tag", "for", "by"), rows)


def print_locks(console: Console, answer: Json) -> None:
    if not answer["locks"] and not answer["waiting"]:
        console.print("nothing is locked")
        return
    held = [
        (_name(one), one["holder"], f"until {_when(one['expires_at'])}", str(one["fence"] or "-"))
        for one in answer["locks"]
    ]
    line = [
        (_name(one), one["holder"], f"waits, number {one['place']}", "-")
        for one in answer["waiting"]
    ]
    _print_table(console, ("memory", "who", "state", "fence"), [*held, *line])


def print_versions(console: Console, answer: Json) -> None:
    rows = [
        (
            one["version_id"],
            _when(one["written_at"]),
            one["agent_id"] or one["author"] or "-",
            one["kind"] + (", withdrawn" if one["withdrawn"] else ""),
            "served" if one["served"] else "-",
            _text(one),
        )
        for one in answer["versions"]
    ]
    _print_table(console, ("version", "written", "by", "kind", "state", "text"), rows)


def print_fate(console: Console, answer: Json) -> None:
    name = f"{answer['system_id']}/{answer['memory_id']}"
    console.print(f"{escape(name)} is [bold]{answer['state']}[/]: {escape(answer['why'])}")
    if answer["until"] is not None:
        until = _when(answer["until"])
        console.print(f"`recalld undelete {answer['deletion_id']}` brings it back, until {until}")
    rows = [
        (_when(one["at"]), one["what"], str(one["deletion_id"]), one.get("by", "-"))
        for one in answer["events"]
    ]
    if rows:
        _print_table(console, ("when", "what", "deletion", "by"), rows)


def print_memories(console: Console, answer: Json) -> None:
    """Every field that says something, the text last."""
    for one in answer["memories"]:
        said = one["content"] or one["text_missing"] or ""
        fields = {name: value for name, value in one.items() if value not in (None, [], {})}
        fields.pop("content", None)
        fields.pop("text_missing", None)
        print_fields(console, fields)
        console.print(_printable(said), markup=False, soft_wrap=True, end="\n\n")
    for name in answer["missing"]:
        console.print(f"there is no {_printable(name)}, or none that you may see", markup=False)


def print_results(console: Console, answer: Json) -> None:
    rows = [(*_lead(one), _text(one)) for one in answer["results"]]
    _print_memories(console, (), rows)


def print_agent_hits(console: Console, answer: Json) -> None:
    rows = [
        (
            *_lead(one["memory"]),
            one["source_agent"] or "-",
            one["seen_by"],
            "-" if one["score"] is None else f"{one['score']:.3f}",
            _text(one["memory"]),
        )
        for one in answer["results"]
    ]
    _print_memories(console, ("of", "seen by", "score"), rows)
    if answer["degraded"]:
        console.print("[yellow]degraded: no model, words only[/]")


def print_related(console: Console, answer: Json) -> None:
    rows = [
        (
            *_lead(one["memory"]),
            str(one["relationship"]["relationship_id"]),
            one["relationship"]["type"],
            f"{one['relationship']['strength']:.2f}",
            one["relationship"]["direction"],
            _text(one["memory"]),
        )
        for one in answer["related_memories"]
    ]
    _print_memories(console, ("relationship", "type", "strength", "direction"), rows)


def print_groups(console: Console, answer: Json) -> None:
    rows = [
        (
            str(one["group_id"]),
            one["name"],
            one["agent_id"] or "-",
            _when(one["created_at"]),
            short(one["description"] or ""),
        )
        for one in answer["groups"]
    ]
    if not rows:
        console.print("there is no group that you may see")
        return
    _print_table(console, ("group", "name", "of", "made", "about"), rows)
    _more(console, "--before", answer["next_before"])


def _lead(memory: Json) -> tuple[str, str, str]:
    return _name(memory), _when(memory["created_at"]), f"{memory['importance']:.2f}"


def _print_memories(
    console: Console, between: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    if rows:
        _print_table(console, ("memory", "created", "importance", *between, "text"), rows)
    else:
        console.print("nothing that you may see")


def _print_table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The first column in one piece: it is to be copied into the next command."""
    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*(escape(_printable(cell)) for cell in row))
    console.print(table)


def _more(console: Console, option: str, value: object) -> None:
    if value is not None:
        console.print(f"[dim]more: {option} {value}[/]", soft_wrap=True)


def _name(one: Json) -> str:
    return f"{one['system_id']}/{one['memory_id']}"


def _when(moment: str | None) -> str:
    return "-" if moment is None else moment[:19].replace("T", " ")


def _text(one: Json) -> str:
    return short(one["content"] or one.get("text_missing") or "(not kept any more)")


def _printable(text: str) -> str:
    """What a terminal would obey is left out."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)
