"""What only the hub knows: its index, its systems, its jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from recall_daemon.doctor.look import Look
from recall_daemon.hub_api import HubApi, Json
from recall_wire.doctor.finding import Finding, failed, note, ok, problem, warning
from recall_wire.errors import RecallError
from recall_wire.sizes import age_text

SAMPLE = 100
# Proving the store reads every row: beyond so many that is left to `recalld verify`.
VERIFY_MAX_ROWS = 100_000
SILENT = timedelta(days=7)
_NAMED = 5


def store(look: Look) -> Iterator[Finding]:
    """It opens; the index holds what it holds."""
    if look.hub is None:
        if look.why_not is not None:
            yield look.why_not
        return
    try:
        status = look.hub.status()
        # Without a daemon no model is opened, and nothing can be said of vectors.
        waits = f", {status['backlog']} texts wait for vectors" if look.daemon else ""
        yield ok("store", f"{status['rows']} memories{waits}")
        if look.daemon is not None:
            yield from _parts(look.daemon.ready())
        yield from _proved(look.hub, int(status["rows"]))
    except RecallError as error:
        yield failed("store", error)


def _parts(state: Json) -> Iterator[Finding]:
    """What the daemon says of itself; the bucket and the disk are looked at apart."""
    for part, reason in state.get("parts", {}).items():
        if not reason.startswith("ok"):
            yield warning(part, f"the hub that runs says: {reason}", "its log has more")


def _proved(hub: HubApi, rows: int) -> Iterator[Finding]:
    if rows > VERIFY_MAX_ROWS:
        remedy = f"`recalld verify --sample {SAMPLE}` does"
        yield note("verify", f"{rows} rows are not proved here", remedy)
        return
    found = hub.verify(SAMPLE)["problems"]
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        yield problem("verify", f"{found[0]}{more}", "see docs/operations.md, Verify and rebuild")
    else:
        yield ok("verify", f"store, ledger and index agree; {min(SAMPLE, rows)} rows compared")


def systems(look: Look) -> Iterator[Finding]:
    if look.hub is None:
        return
    try:
        found = look.hub.systems()["systems"]
    except RecallError as error:
        yield failed("systems", error)
        return
    said = [*_clashes(found), *_quarantined(found), *_missing(found), *_silent(found, look.now())]
    yield from said
    if not said:
        yield ok("systems", f"{len(found)}, none silent, nothing missing or in quarantine")


def _clashes(found: list[Json]) -> Iterator[Finding]:
    for system in found:
        if system["warning"]:
            yield warning(
                "systems",
                f"{system['system_id']}: {system['warning']}",
                "two instances write as one: give one a system_id of its own (`recall init`)",
            )


def _quarantined(found: list[Json]) -> Iterator[Finding]:
    bad = [one["system_id"] for one in found if one["quarantined"]]
    if bad:
        yield warning(
            "quarantine", f"{_some(bad)} sent what cannot be read", "`recalld quarantine` says why"
        )


def _missing(found: list[Json]) -> Iterator[Finding]:
    gaps = [one["system_id"] for one in found if one["missing"]]
    if gaps:
        yield warning(
            "missing",
            f"snapshots of {_some(gaps)} are announced or passed over, and not in the bucket",
            "they are asked for; `recall outbox list` on that machine shows what waits there",
        )


def _silent(found: list[Json], now: datetime) -> Iterator[Finding]:
    merged = {one["system_id"]: one["last_merged_at"] for one in found if one["last_merged_at"]}
    silent = [s for s, at in merged.items() if now - datetime.fromisoformat(at) > SILENT]
    if silent:
        yield note(
            "silent",
            f"nothing came from {_some(silent)} for more than {age_text(SILENT)}",
            "`recall doctor` on that machine, where it should have sent something",
        )


def jobs(look: Look) -> Iterator[Finding]:
    if look.hub is None:
        return
    try:
        found = look.hub.jobs()["jobs"]
    except RecallError as error:
        yield failed("jobs", error)
        return
    bad = [job for job in found if job["state"] == "failed"]
    for job in bad:
        yield warning(
            "jobs",
            f"{job['kind']} failed: {job['detail'] or 'it did not say why'}",
            f"it is tried at its next time; `recalld jobs run {job['kind']}` tries it now",
        )
    if not bad:
        yield ok("jobs", "none failed")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
