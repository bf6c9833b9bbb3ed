"""What a person sees on a terminal: the answers of a hub as tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from recall_daemon.operations import Json

if TYPE_CHECKING:
    from tantivy import TextAnalyzer

TEXT_CHARS = 240
WITNESSES_SHOWN = 3

_WORD = re.compile(r"\w+")


def print_pull(console: Console, answer: Json) -> None:
    """Each instance with what came of it, then each error."""
    table = Table("instance", "system", "fetched", "new", "said")
    for one in answer["instances"]:
        said = one["detail"] if "detail" in one else "failed" if one["failed"] else one["note"]
        cells = [one["url"], one.get("system_id"), one.get("memories_fetched")]
        cells += [one.get("memories_synced"), said]
        table.add_row(*(escape("" if cell is None else str(cell)) for cell in cells))
    console.print(table)
    for error in answer.get("errors", []):
        memory = f" {error['memory_id']}" if error["memory_id"] else ""
        console.print(f"[red]{escape(error['url'] + memory)}[/]: {escape(error['error'])}")


def print_hits(console: Console, answer: Json, *, first: int = 1) -> None:
    """Each hit with where it came from, best first; `first` is the number of the first one."""
    if answer["degraded"]:
        console.print("[yellow]degraded: no model, words only[/]")
    if answer["incomplete"]:
        console.print("[yellow]incomplete: the index is being read, or lacks words of cold rows[/]")
    if answer.get("quotes_not_held"):
        quotes = " ".join(f'"{quote}"' for quote in answer["quotes_not_held"])
        console.print(f"[yellow]no memory holds {escape(short(quotes))}; searched by its words[/]")
    if not answer["hits"]:
        console.print("nothing found")
    sought = _terms(answer["query"])
    for number, hit in enumerate(answer["hits"], start=first):
        about = [hit["system_id"], hit["project"], hit["session_id"], hit["kind"], hit["tier"]]
        line = " · ".join(escape(str(part)) for part in [*about, _when(hit)] if part)
        console.print(f"[bold]{number}. {hit['score']:.3f}[/]  [cyan]{line}[/]", soft_wrap=True)
        _print_context(console, hit, "before")
        console.print("  ", _shown(hit, sought), f"[dim]{escape(hit['memory_id'])}[/]")
        _print_context(console, hit, "after")
        _print_beside(console, hit)
    if answer.get("next_offset") is not None:
        console.print(f"[dim]more: --offset {answer['next_offset']}[/]")


def _shown(hit: Json, sought: frozenset[str]) -> Text:
    """The passage that answers, cut to a few lines, with the words that were looked for in bold."""
    passage = hit.get("passage") or {}
    text = Text(short(passage.get("text") or hit["text"] or hit.get("summary") or ""))
    for match in _WORD.finditer(text.plain):
        if _terms(match.group()) & sought:
            text.stylize("bold yellow", *match.span())
    return text


def _terms(text: str) -> frozenset[str]:
    """As the index has them, so that another form of a word is marked, too."""
    from recall_daemon.index.analysis import composed
    from recall_daemon.search.asked import read

    return frozenset(_analyzer().analyze(composed(read(text).content)))


@cache
def _analyzer() -> TextAnalyzer:
    from recall_daemon.index.analysis import analyzer

    return analyzer()


def _print_context(console: Console, hit: Json, side: str) -> None:
    for turn in (hit.get("context") or {}).get(side, ()):
        said = turn["text"] or turn["summary"] or turn["text_missing"] or ""
        console.print(f"   [dim]{_when(turn)}  {escape(short(said))}[/]")


def _print_beside(console: Console, hit: Json) -> None:
    if hit.get("text_missing"):
        console.print(f"   [yellow]{escape(hit['text_missing'])}[/]")
    others = [witness for witness in hit.get("witnesses", ()) if not _is_same(witness, hit)]
    if others:
        names = ", ".join(f"{w['system_id']} {w['memory_id']}" for w in others[:WITNESSES_SHOWN])
        more = hit["witness_count"] - 1 - len(others[:WITNESSES_SHOWN])
        rest = f" and {more} more" if more > 0 else ""
        console.print(f"   [dim]also said by {escape(short(names))}{rest}[/]")
    if hit.get("explanation"):
        console.print(f"   [dim]{escape(json.dumps(hit['explanation'], ensure_ascii=False))}[/]")


def _is_same(one: Json, other: Json) -> bool:
    return all(one[name] == other[name] for name in ("system_id", "memory_id"))


def _when(row: Json) -> str:
    return str(row["created_at"] or "")[:16].replace("T", " ")


def print_status(console: Console, status: Json) -> None:
    """The totals, then one line per system."""
    words = "  [yellow]degraded: no model, words only[/]" if status["degraded"] else ""
    console.print(f"{status['rows']} memories, {status['backlog']} texts to embed{words}")
    print_systems(console, status)


def print_systems(console: Console, status: Json) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("system", "rows", "complete to", "missing", "quarantined", "lag s", "warning"):
        table.add_column(name, justify="left" if name in ("system", "warning") else "right")
    for system in status["systems"]:
        table.add_row(
            escape(system["system_id"]),
            str(system["rows"]),
            str(system["complete_to"]),
            ", ".join(_range(first, last) for first, last in system["missing"][:3]) or "-",
            str(len(system["quarantined"])),
            f"{system['lag_s']:.0f}",
            escape(system["warning"] or "-"),
        )
    console.print(table)


def print_snapshots(console: Console, answer: Json) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("snapshot", "came by", "state", "rows", "settled", "reason"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for one in answer["snapshots"]:
        sub = f".{one['sub']}" if one["sub"] else ""
        table.add_row(
            escape(f"{one['system_id']}/{one['seq']}{sub}"),
            one["origin"],
            one["state"],
            str(one["rows"]),
            (one["settled_at"] or "-")[:19],
            escape(one["reason"] or "-"),
        )
    console.print(table)


def print_model(console: Console, answer: Json) -> None:
    """The space that serves, and how far another one is."""
    if answer["degraded"]:
        console.print("[yellow]degraded: no model, words only[/]")
    if answer["serving"] is None and answer["building"] is None:
        console.print("no text has been embedded yet")
    for state in ("serving", "building"):
        space = answer[state]
        if space is not None:
            count = f"{space['done']} of {space['total']} texts"
            since = space["since"][:19].replace("T", " ")
            line = f"[bold]{state}[/]  {escape(space['space_id'])}  {count}, since {since}"
            console.print(line, soft_wrap=True)


def print_quarantine(console: Console, answer: Json) -> None:
    if not answer["quarantined"]:
        console.print("nothing is in quarantine")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("snapshot", "since", "reason"):
        table.add_column(name, overflow="fold")
    for entry in answer["quarantined"]:
        sub = f".{entry['sub']}" if entry["sub"] else ""
        name = f"{entry['system_id']} {entry['seq']}{sub}"
        table.add_row(escape(name), (entry["settled_at"] or "")[:19], escape(entry["reason"] or ""))
    console.print(table)


def print_jobs(console: Console, answer: Json) -> None:
    """Each kind of background work with its newest run."""
    table = Table(box=None, pad_edge=False)
    for name in ("job", "state", "began", "done", "what"):
        table.add_column(name, overflow="fold")
    for job in answer["jobs"]:
        total = f" of {job['total']}" if job["total"] is not None else ""
        table.add_row(
            escape(job["kind"]),
            job["state"] or "-",
            (job["started_at"] or "-")[:19].replace("T", " "),
            f"{job['done']}{total}",
            escape(job["detail"] or "-"),
        )
    console.print(table)


@contextmanager
def showing_progress(*, quiet: bool) -> Iterator[Callable[[Json], None]]:
    """On a terminal's standard error, one line that says how far the run of a job is."""
    console = Console(stderr=True, quiet=quiet)
    with console.status("beginning") as status:

        def tell(run: Json) -> None:
            total = f" of {run['total']}" if run["total"] is not None else ""
            status.update(escape(f"{run['kind']}: {run['done']}{total}  {run['detail'] or ''}"))

        yield tell


def print_backups(console: Console, answer: Json) -> None:
    if not answer["backups"]:
        console.print("there is no backup")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("backup", "made", "rows", "bytes"):
        table.add_column(name, justify="right" if name in ("rows", "bytes") else "left")
    for made in answer["backups"]:
        when = made["created_at"][:19].replace("T", " ")
        table.add_row(escape(made["backup_id"]), when, str(made["rows"]), str(made["bytes"]))
    console.print(table)


def print_tokens(console: Console, answer: Json) -> None:
    """One line a token; neither here nor anywhere is its secret."""
    if not answer["tokens"]:
        console.print("there is no token: whoever reaches the loopback port may do everything")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)  # to be copied into `token revoke`
    for name in ("name", "role", "writes", "reads", "projects", "speaks for", "expires", "state"):
        table.add_column(name, overflow="fold")
    for token in answer["tokens"]:
        table.add_row(
            token["token_id"],
            escape(token["name"]),
            token["role"],
            "all" if token["role"] == "admin" else escape(token["system_id"] or "-"),
            escape(_all_or(token["systems"])),
            escape(_all_or(token["projects"])),
            escape("/".join(one for one in (token["agent_id"], token["user_id"]) if one) or "-"),
            (token["expires_at"] or "never")[:16].replace("T", " "),
            token["state"],
        )
    console.print(table)


def _all_or(values: list[str] | None) -> str:
    return "all" if values is None else ", ".join(values)


def print_audit(console: Console, answer: Json) -> None:
    """One line an act, newest first."""
    table = Table(box=None, pad_edge=False)
    for name in ("entry", "when", "who", "what", "system", "more"):
        table.add_column(name, overflow="fold")
    for entry in answer["entries"]:
        more = ", ".join(f"{name} {value}" for name, value in entry["body"].items())
        table.add_row(
            str(entry["entry_no"]),
            entry["happened_at"][:19].replace("T", " "),
            escape(entry["actor"]),
            entry["action"],
            escape(entry["system_id"] or "-"),
            escape(more),
        )
    console.print(table)
    if answer["next_before"] is not None:
        console.print(f"[dim]more: --before {answer['next_before']}[/]")


def print_receipt(console: Console, told: Json) -> None:
    """What was forgotten, and what still holds it."""
    done = "would be forgotten" if told["dry_run"] else "forgotten"
    before = f", {told['forgotten_before']} before" if told["forgotten_before"] else ""
    where = ", ".join(f"{name} {count}" for name, count in told["systems"].items() if count)
    console.print(f"[bold]{told['forgotten']} {done}[/]{before}  [cyan]{escape(where)}[/]")
    if not told["dry_run"] and told["purge"] == "pending":
        due = told["purge_due_at"][:16].replace("T", " ")
        console.print(f"their bytes leave this disk by the job purge, due {due} UTC; or --purge")
    for name in told["rewritten"]:
        console.print(f"  [green]taken out of[/]  {escape(name)}", soft_wrap=True)
    for holder in told["still_in"]:
        how = f"{holder['rows']} rows in" if "rows" in holder else "may be in"
        why = f": {holder['kept']}" if "kept" in holder else ""
        console.print(f"  [yellow]{how}[/]  {escape(holder['key'] + why)}", soft_wrap=True)
    for name in told["older_backups"]:
        console.print(f"  [yellow]still in backup[/]  {escape(name)}", soft_wrap=True)
    if told["same_text"]["memories"]:
        count, ids = told["same_text"]["memories"], ", ".join(told["same_text"]["ids"][:3])
        console.print(f"[yellow]{count} other memories say the same:[/] {escape(ids)}")
    for sentence in told["notes"]:
        console.print(f"[yellow]{escape(sentence)}[/]", soft_wrap=True)


def print_fields(console: Console, fields: Json) -> None:
    for name, value in fields.items():
        console.print(f"[bold]{name}[/]  {escape(str(value))}", soft_wrap=True)


def short(text: str) -> str:
    """One line; what a terminal would obey is left out."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= TEXT_CHARS else line[: TEXT_CHARS - 1] + "…"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def print_tiers(console: Console, answer: Json) -> None:
    """One line a tier, then the cold files."""
    table = Table(box=None, pad_edge=False)
    for name in ("tier", "rows", "MiB", "texts", "vectors", "oldest d", "newest d"):
        table.add_column(name, justify="left" if name == "tier" else "right")
    for tier in answer["tiers"]:
        texts = tier["text_bytes"] + tier["summary_bytes"]
        sizes = (_mib(size) for size in (tier["bytes"], texts, tier["vector_bytes"]))
        ages = (_days(tier[name]) for name in ("oldest_age_s", "newest_age_s"))
        table.add_row(tier["tier"], str(tier["rows"]), *sizes, *ages)
    console.print(table)
    cold = answer["cold"]
    console.print(
        f"{cold['files']} cold files, {_mib(cold['bytes'])} MiB, {cold['dead_share']:.0%} dead; "
        f"cache {_mib(cold['cache']['bytes'])} of {_mib(cold['cache']['limit_bytes'])} MiB"
    )
    if answer["future_rows"]:
        console.print(f"[yellow]{answer['future_rows']} rows have a time that is yet to come[/]")


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f}"


def _days(age_s: float | None) -> str:
    return "-" if age_s is None else f"{age_s / 86_400:.1f}"
