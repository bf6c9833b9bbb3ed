"""`recall init`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recall_uploader.commands.printing import print_result, say, warn
from recall_wire.doctor.facts import print_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recall_uploader.init import InitResult
    from recall_uploader.settings import UploaderSettings
    from recall_wire.doctor.finding import Finding

_CREDENTIALS = (
    "credentials come by the standard AWS chain (AWS_PROFILE, ~/.aws/credentials, an instance's "
    "role), or as RECALL_S3_ACCESS_KEY_ID and RECALL_S3_SECRET_ACCESS_KEY in the environment; they "
    "are never written into the settings file"
)
_NEXT = (
    ("recall upload", "sends what is new now"),
    ("recall hook install claude-code", "sends it whenever a session ends"),
    ("recall service install", "sends it whenever a source changes"),
)


def init(
    *,
    bucket_url: str | None = None,
    s3_endpoint_url: str | None = None,
    s3_region: str | None = None,
    system_id: str | None = None,
    source: tuple[Path, ...] = (),
    hub_url: str | None = None,
    adopt: bool = False,
    yes: bool = False,
    json_: bool = False,
    config: Path | None = None,
) -> int:
    """Set this instance up: three questions, or flags; then everything is tried out.

    Writes what was chosen into the settings file, whose other keys and comments stay, and makes
    the state folder. May be run again at any time.

    Parameters
    ----------
    bucket_url
        Where snapshots go: s3://bucket[/prefix] or file:///folder.
    s3_endpoint_url
        For R2 and other S3-like endpoints: https://host[:port].
    s3_region
        The bucket's region; R2 wants auto.
    system_id
        This instance's name in the bucket.
    source
        A database, file or folder that is uploaded; may be given several times.
    hub_url
        The hub's address, for when the bucket cannot be reached.
    adopt
        Go on with the system from this machine and this state folder, whoever wrote it before, and
        send everything once more.
    yes
        Ask nothing.
    json_
        Ask nothing, and print one JSON object.
    config
        The YAML settings file to write and use; without it, the usual one.
    """
    from recall_uploader.settings import config_path

    given: dict[str, Any] = {
        "bucket_url": bucket_url,
        "s3_endpoint_url": s3_endpoint_url,
        "s3_region": s3_region,
        "system_id": system_id,
        "sources": _sources(source),
        "hub_url": hub_url,
    }
    values = {name: value for name, value in given.items() if value is not None}
    file = config or config_path()
    if not (yes or json_ or adopt) and _is_terminal():
        values = _ask(file, values)
    _check(file, values, adopt=adopt)
    changed = _write(file, values)
    return _set_up(file, changed, adopt=adopt, json_=json_)


def _sources(paths: tuple[Path, ...]) -> list[dict[str, Any]] | None:
    from recall_uploader.questions import source

    return [source(path) for path in paths] or None


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(file: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The questions that no flag has answered. What is there already is their default."""
    from recall_uploader.machine import default_system_id, machine_hash
    from recall_uploader.questions import Questions
    from recall_uploader.settings import load_settings
    from recall_uploader.sources.find import find_sources

    settings = load_settings(file if file.is_file() else None)
    questions = Questions(_line, lambda text: print_facts([("", text)], sys.stderr))
    answers = dict(values)
    if "bucket_url" not in values:
        usual = (Path.home() / "recall-bucket").as_uri()
        answers["bucket_url"] = questions.bucket_url(settings.bucket_url or usual)
    if "system_id" not in values:
        machine = machine_hash(settings.machine_id)
        known = _known_system(settings) or settings.system_id or default_system_id(machine)
        answers["system_id"] = questions.system_id(known)
    if "sources" not in values and settings.sources is None and settings.source is None:
        entries = questions.sources(find_sources(Path.home(), os.environ))
        answers |= {} if entries is None else {"sources": entries}
    return answers


def _line(question: str) -> str:
    """On standard error, so that results stay clean."""
    print(question, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        print(file=sys.stderr)
        raise EOFError
    return line


def _known_system(settings: UploaderSettings) -> str | None:
    from recall_uploader.run import read_state
    from recall_uploader.state_file import STATE_FILE

    state, _ = read_state(settings.state_folder / STATE_FILE, read_only=True)
    if state is None:
        return None
    system_id = state.identity.system_id
    state.close()
    return system_id


def _check(file: Path, values: Mapping[str, Any], *, adopt: bool) -> None:
    """Before anything is written. Raises `SettingsInvalid`, `UnsafeKey`, `SystemClash`."""
    from recall_uploader.errors import SystemClash
    from recall_uploader.questions import bucket, system
    from recall_uploader.recover import REMEDY
    from recall_uploader.settings import load_settings

    if "bucket_url" in values:
        bucket(values["bucket_url"])
    if "system_id" in values:
        system(values["system_id"])
    settings = load_settings(file if file.is_file() else None, values)
    known = _known_system(settings)
    if known and settings.system_id not in (None, known) and not adopt:
        raise SystemClash(
            f"this state folder belongs to system {known}, and {settings.system_id} is wanted",
            hint=REMEDY,
        )


def _write(file: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    from recall_uploader.config_file import change
    from recall_uploader.settings import ENV_PREFIX

    changed = change(file, values)
    if changed:
        say(f"{file} has {', '.join(changed)} now")
    warn(f"{name} was {before!r} there" for name, before in changed.items() if before is not None)
    for name in values:
        if os.environ.get(variable := f"{ENV_PREFIX}{name.upper()}"):
            warn([f"{variable} is set in the environment and goes before the file"])
    if str(values.get("bucket_url", "")).startswith("s3:"):
        say(_CREDENTIALS)
    return changed


def _set_up(file: Path, changed: Mapping[str, Any], *, adopt: bool, json_: bool) -> int:
    from recall_uploader import app
    from recall_uploader.commands.doctor import HEALTHY, PROBLEM, look, show
    from recall_uploader.init import adopt as run_adopt
    from recall_uploader.init import init as run_init
    from recall_uploader.settings import load_settings
    from recall_wire.doctor.finding import healthy
    from recall_wire.errors import RecallError

    used = file if file.is_file() else None
    instance = app.build(load_settings(used))
    try:
        result = (run_adopt if adopt else run_init)(instance)
    except RecallError:
        show(look(used), sys.stderr)
        raise
    checks = look(used)
    if json_:
        print_result(json.dumps(_as_dict(result, used, changed, checks)))
    else:
        _show(result, checks)
    return HEALTHY if healthy(checks) else PROBLEM


def _as_dict(
    result: InitResult, file: Path | None, changed: Mapping[str, Any], checks: list[Finding]
) -> dict[str, Any]:
    return {
        "system_id": result.system_id,
        "instance_id": result.instance_id,
        "next_seq": result.next_seq,
        "set_aside": result.set_aside,
        "settings_file": str(file) if file else None,
        "changed": sorted(changed),
        "warnings": list(result.warnings),
        "checks": [item.as_dict() for item in checks],
    }


def _show(result: InitResult, checks: list[Finding]) -> None:
    from recall_uploader.commands.doctor import show
    from recall_wire.doctor.finding import healthy

    show(checks, sys.stderr)
    warn(result.warnings)
    if result.set_aside:
        warn([f"{result.set_aside} snapshots that waited lie in the outbox's failed folder now"])
    ready = "ready" if healthy(checks) else "not ready yet, see above"
    print_result(f"{result.system_id}: {ready}, the next snapshot is {result.next_seq}")
    for command, does in _NEXT:
        print(f"  {command:<33}{does}", file=sys.stderr)
