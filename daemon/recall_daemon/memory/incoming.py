"""A posted memory, checked: the one place that makes a record of it and says whose it is."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from recall_daemon.access.caller import Caller
from recall_daemon.errors import MemoryInvalid
from recall_wire.errors import UnsafeKey
from recall_wire.formats.values import dump_json, to_time, whole
from recall_wire.layout import check_system_id
from recall_wire.records import KINDS, MEMORY_ID_MAX_CHARS, Kind, Record

TEXT_MAX_BYTES = 4 << 20
METADATA_MAX_BYTES = 1 << 20
METADATA_MAX_DEPTH = 100
FIELD_MAX_CHARS = 1_000
TAGS_MAX = 100
EMBEDDING_MAX_NUMBERS = 16_384
# A clock may be a little ahead, and a naive time may be another zone's.
FUTURE_MAX = timedelta(days=1)

INGESTION_METHOD = "http_push"
NO_SOURCE = "http-push"

_NAMES = ("project", "namespace", "session_id", "agent_id", "user_id", "parent_id")
FIELDS = (
    *("memory_id", "text", "content", "kind", "created_at", "updated_at", *_NAMES),
    *("tags", "importance", "metadata", "embedding"),
)

# Python itself refuses to write a number of more digits than these have.
_NUMBER_MAX_BITS = 10_000
_SLUG_MAX_CHARS = 60
_SHOWN_MAX_CHARS = 40


def read_memory(body: object, *, now: datetime) -> Record:
    """The record of a posted memory. Raises `MemoryInvalid`, one sentence for what is wrong.

    `FIELDS` are known; `content` is another name of `text`. Without `memory_id` the id is a hash of
    what the body says, so that the same post twice is one memory; without `created_at` it is `now`.
    Lone surrogates become U+FFFD, NUL a space. `embedding` is checked and left out: nothing says
    which space it is of, so the hub embeds the text itself.
    """
    if not isinstance(body, Mapping):
        raise MemoryInvalid("the memory is not a JSON object")
    unknown = next((key for key in body if key not in FIELDS), None)
    if unknown is not None:
        raise MemoryInvalid(f"{_shown(unknown)} is not known", hint=f"known are {_listed(FIELDS)}")
    _check_embedding(body.get("embedding"))
    record = Record(
        memory_id="",
        text=_text(body),
        metadata=read_metadata(body.get("metadata")),
        **_fields(body, now),
    )
    told = body.get("memory_id")
    memory_id = f"post:{record.row_hash().hex()}" if told is None else _memory_id(told)
    return replace(record, memory_id=memory_id, created_at=record.created_at or now)


def pushed_memory(
    memory_id: object,
    text: object,
    embedding: object = None,
    metadata: object = None,
    *,
    now: datetime,
    method: str = INGESTION_METHOD,
) -> Record:
    """The record of a memory in the form of the push tools. Raises `MemoryInvalid`.

    What the metadata says under a field's name becomes that field where it can be one. All of it is
    kept, with `method` as its `ingestion_method`.
    """
    said = {} if metadata is None else metadata
    if not isinstance(said, Mapping):
        raise MemoryInvalid("metadata is not a JSON object")
    fields = {name: said[name] for name in _READERS if _is_readable(name, said, now)}
    body = {
        "memory_id": "" if memory_id is None else memory_id,
        "text": text,
        "embedding": embedding,
        "metadata": {**said, "ingestion_method": method},
        **fields,
    }
    return read_memory(body, now=now)


def system_of(
    caller: Caller, metadata: Mapping[str, Any] | None, sources: Mapping[str, str]
) -> str:
    """The system that a pushed memory goes to.

    The one of the caller's token; else what `sources` says of `metadata.source`; else a slug of
    that with a short hash, so that two sources are never one system; else `NO_SOURCE`. Raises
    `Forbidden` where the caller may not write it.
    """
    system_id = caller.system_id or _system_of_source((metadata or {}).get("source"), sources)
    caller.check_write(system_id)
    return system_id


def target_system(caller: Caller, body: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """The `system` that a body names, else that of `system_of`.

    Raises `MemoryInvalid`, and `Forbidden` where the caller may not write it.
    """
    asked = body.get("system")
    if asked is None:
        metadata = body.get("metadata")
        return system_of(caller, metadata if isinstance(metadata, Mapping) else None, sources)
    try:
        system_id = check_system_id(asked if isinstance(asked, str) else "")
    except UnsafeKey as error:
        raise MemoryInvalid(f"system {_shown(asked)} is no system's id") from error
    caller.check_write(system_id)
    return system_id


def without_system(body: Mapping[str, Any]) -> dict[str, Any]:
    """The memory of a body that also says which system it goes to."""
    return {name: value for name, value in body.items() if name != "system"}


def _system_of_source(source: object, sources: Mapping[str, str]) -> str:
    if not isinstance(source, str) or not source.strip():
        return NO_SOURCE
    if source in sources:
        return sources[source]
    digest = hashlib.sha256(whole(source).encode()).hexdigest()[:8]
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", source[:_SLUG_MAX_CHARS]).strip("-._") or "source"
    return f"{slug}-{digest}"


def _is_readable(name: str, said: Mapping[str, Any], now: datetime) -> bool:
    try:
        return said.get(name) is not None and _READERS[name](name, said[name], now) is not None
    except MemoryInvalid:
        return False


def _fields(body: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {name: read(name, body.get(name), now) for name, read in _READERS.items()}


def _memory_id(value: object) -> str:
    if not isinstance(value, str):
        raise MemoryInvalid("memory_id is not text")
    if not 0 < len(value) <= MEMORY_ID_MAX_CHARS:
        raise MemoryInvalid(
            f"memory_id has {len(value)} characters; 1 to {MEMORY_ID_MAX_CHARS} are allowed"
        )
    if _clean(value) != value:  # repaired, two ids could become one
        raise MemoryInvalid("memory_id holds NUL or is not valid Unicode")
    return value


def _text(body: Mapping[str, Any]) -> str:
    given = [body[name] for name in ("text", "content") if body.get(name) is not None]
    if len(given) > 1:
        raise MemoryInvalid("there are both text and content", hint="content is text's other name")
    if not given:
        raise MemoryInvalid("there is no text")
    if not isinstance(given[0], str):
        raise MemoryInvalid("text is not text")
    text = _clean(given[0])
    if not text.strip():
        raise MemoryInvalid("text is empty")
    if len(text) * 4 > TEXT_MAX_BYTES and len(text.encode()) > TEXT_MAX_BYTES:
        raise MemoryInvalid(
            f"text has more than {TEXT_MAX_BYTES} bytes", hint="store it as several memories"
        )
    return text


def _kind(name: str, value: object, now: datetime) -> Kind:
    for kind in KINDS:
        if value == kind:
            return kind
    if value is None:
        return "note"
    raise MemoryInvalid(f"kind {_shown(value)} is none of {_listed(KINDS)}")


def _time(name: str, value: object, now: datetime) -> datetime | None:
    """ISO 8601, or a number since 1970 in s, ms, us or ns; naive times are UTC."""
    if value is None:
        return None
    # A thousand digits are no time, and long work.
    is_one = isinstance(value, str | float) or (type(value) is int and value.bit_length() <= 64)
    moment = to_time(value, UTC) if is_one else None
    if moment is None:
        raise MemoryInvalid(
            f"{name} {_shown(value)} is not a time", hint="write it as 2026-01-31T12:00:00Z"
        )
    if moment > now + FUTURE_MAX:
        raise MemoryInvalid(
            f"{name} {moment.isoformat()} is in the future", hint="look at the clock that made it"
        )
    return moment


def _name(name: str, value: object, now: datetime) -> str | None:
    """An empty one says nothing."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise MemoryInvalid(f"{name} is not text")
    if len(value) > FIELD_MAX_CHARS:
        raise MemoryInvalid(f"{name} has more than {FIELD_MAX_CHARS} characters")
    return _clean(value) or None


def _tags(name: str, value: object, now: datetime) -> tuple[str, ...]:
    """Each once, in their order."""
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise MemoryInvalid(f"{name} is not a list of texts")
    if len(value) > TAGS_MAX:
        raise MemoryInvalid(f"{name} has {len(value)} values; at most {TAGS_MAX} are allowed")
    tags = [_name("a tag", "" if tag is None else tag, now) for tag in value]
    return tuple(dict.fromkeys(tag for tag in tags if tag and tag.strip()))


def _importance(name: str, value: object, now: datetime) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MemoryInvalid(f"{name} is not a number")
    if not 0 <= value <= 1:  # refuses NaN, too
        raise MemoryInvalid(f"{name} is {_shown(value)}; 0 to 1 are allowed")
    return float(value)


def read_metadata(value: object) -> str:
    """An object as JSON text. Raises `MemoryInvalid` for what would not come back as it was."""
    if value is None:
        return "{}"
    if not isinstance(value, Mapping):
        raise MemoryInvalid("metadata is not a JSON object")
    _check_json(value)
    text = dump_json(dict(value))
    if len(text) * 4 > METADATA_MAX_BYTES and len(text.encode()) > METADATA_MAX_BYTES:
        raise MemoryInvalid(f"metadata has more than {METADATA_MAX_BYTES} bytes")
    return text


def _check_json(metadata: Mapping[str, Any]) -> None:
    """Raises `MemoryInvalid` for what would not come back as it was given."""
    left: list[tuple[object, int]] = [(metadata, 1)]
    while left:
        item, depth = left.pop()
        if depth > METADATA_MAX_DEPTH:
            raise MemoryInvalid(f"metadata is nested more than {METADATA_MAX_DEPTH} levels deep")
        if isinstance(item, float) and not math.isfinite(item):
            raise MemoryInvalid("metadata holds a number that is NaN or infinite")
        if isinstance(item, int) and item.bit_length() > _NUMBER_MAX_BITS:
            raise MemoryInvalid("metadata holds a number of thousands of digits")
        if isinstance(item, Mapping):
            left += [(one, depth + 1) for one in item.values()]
        elif isinstance(item, list | tuple):
            left += [(one, depth + 1) for one in item]
        elif not isinstance(item, str | int | float | None):
            raise MemoryInvalid(f"metadata holds a {type(item).__name__}, which is no JSON")


def _check_embedding(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, list | tuple) or not value or len(value) > EMBEDDING_MAX_NUMBERS:
        raise MemoryInvalid(f"embedding is not a list of 1 to {EMBEDDING_MAX_NUMBERS} numbers")
    if not all(type(number) in (int, float) and _is_finite(number) for number in value):
        raise MemoryInvalid("embedding holds something that is no finite number")


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond what a float holds
        return False


def _clean(text: str) -> str:
    """What UTF-8 can hold, without NUL, which ends a text for many a reader."""
    return whole(text).replace("\0", " ")


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return "of many digits"
    said = value if isinstance(value, str) else str(value)
    return repr(whole(said[:_SHOWN_MAX_CHARS]))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


_Reader = Callable[[str, object, datetime], Any]
_READERS: dict[str, _Reader] = {
    "kind": _kind,
    "created_at": _time,
    "updated_at": _time,
    **dict.fromkeys(_NAMES, _name),
    "tags": _tags,
    "importance": _importance,
}
