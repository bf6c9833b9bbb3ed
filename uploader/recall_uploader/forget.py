"""`recall forget`: memories that must never come back."""

from __future__ import annotations

from collections.abc import Sequence

from recall_uploader.app import Instance
from recall_uploader.deliver import deliver
from recall_uploader.recover import recover
from recall_uploader.redact import Redactor
from recall_uploader.result import UploadResult
from recall_uploader.run import open_run
from recall_wire.errors import SettingsInvalid
from recall_wire.records import MEMORY_ID_MAX_CHARS


def forget(instance: Instance, memory_ids: Sequence[str]) -> UploadResult:
    """Send `forget` for these ids of this system, sent before or not. Final: their rows are never
    sent again, whatever the source says. Idempotent: an id forgotten before is not sent twice."""
    for memory_id in memory_ids:
        _check(memory_id)
    settings = instance.settings
    if settings.redact:  # the hub knows an id that holds a secret by another name
        redactor = Redactor(settings.redact_rules, settings.redact_allow)
        memory_ids = [redactor.identity(memory_id)[0] for memory_id in memory_ids]
    with open_run(instance) as run:
        run.warnings += recover(run.spool)
        for _ in run.spool.forget(run.state.to_forget(memory_ids)):
            pass
        return deliver(run)


def _check(memory_id: str) -> None:
    try:
        memory_id.encode()
    except UnicodeEncodeError as error:
        raise SettingsInvalid(f"the id {memory_id[:80]!a} is no valid UTF-8") from error
    if not 0 < len(memory_id) <= MEMORY_ID_MAX_CHARS:
        raise SettingsInvalid(
            f"an id has 1 to {MEMORY_ID_MAX_CHARS} characters, {memory_id[:80]!a} has "
            f"{len(memory_id)}"
        )
