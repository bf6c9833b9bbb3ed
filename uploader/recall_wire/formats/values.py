"""Single values: whatever type a source used for it, to the one type a record has."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal

_EPOCH = datetime(1970, 1, 1)
_JSON_DEPTH_MAX = 100


def to_text(value: object) -> str | None:
    """Text as it is; bytes as UTF-8 with U+FFFD for what is not; lone surrogates likewise."""
    if value is None or isinstance(value, str):
        return None if value is None else whole(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (dict, list, tuple)):
        return dump_json(value)
    return str(value)


def to_name(value: object) -> str | None:
    """Text for a field that people filter by: an empty one says nothing."""
    return to_text(value) or None


def whole(text: str) -> str:
    """`text` without lone surrogates, which no UTF-8 can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def is_broken(value: object) -> bool:
    """Whether `to_text` would have to repair the value."""
    try:
        if isinstance(value, bytes):
            value.decode()
        elif isinstance(value, str):
            value.encode()
    except UnicodeError:
        return True
    return False


def base64_text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def to_time(value: object, zone: tzinfo) -> datetime | None:
    """A UTC time of a datetime, date, ISO text or epoch number (s, ms, us or ns by magnitude).

    Naive values are read in `zone`. None for what is no time, or is outside the years 1 to 9999.
    """
    if isinstance(value, str):
        value = _parsed(value.strip())
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float, Decimal)):
        return _from_epoch(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        return None
    try:
        aware = value if value.tzinfo else value.replace(tzinfo=zone)
        return aware.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def naive_from_micros(micros: int | None) -> datetime | None:
    """A database's naive timestamp, which may lie beyond what Python's can hold."""
    try:
        return None if micros is None else _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None


def as_utc(naive: datetime) -> datetime:
    return naive.replace(tzinfo=UTC)


def _parsed(text: str) -> object:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return float(text) if len(text) < 40 else None
    except ValueError:
        return None


def _from_epoch(value: float | Decimal) -> datetime | None:
    number = Decimal(value)
    if not math.isfinite(number):
        return None
    # 1e11 s is the year 5138 and 1e11 ms is 1973: each unit has its own decades.
    for limit, per_second in ((10**11, 1), (10**14, 10**3), (10**17, 10**6), (10**20, 10**9)):
        if abs(number) < limit:
            micros = round(number * 10**6 / per_second)
            naive = naive_from_micros(micros)
            return as_utc(naive) if naive else None
    return None


def to_unit(value: object) -> float | None:
    """A number clamped to [0, 1]; None for NaN and for what is no number."""
    number = to_number(value)
    return None if number is None else min(1.0, max(0.0, number))


def to_number(value: object) -> float | None:
    """A number, infinite ones included; None for NaN and for what is no number."""
    if isinstance(value, (str, bytes)):
        value = to_text(value)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


def to_tags(value: object) -> tuple[str, ...]:
    """A list, the JSON text of one, or words between commas: each tag once, in order."""
    if isinstance(value, (str, bytes)):
        text = to_text(value) or ""
        loaded = load_json(text) if text.lstrip().startswith("[") else None
        value = loaded if isinstance(loaded, list) else text.strip("[]{} ").split(",")
    if isinstance(value, dict):
        value = list(value)
    if not isinstance(value, Iterable):
        return ()
    tags = ((to_text(tag) or "").strip() for tag in value)
    return tuple(dict.fromkeys(tag for tag in tags if tag))


def to_vector(value: object, dim: int) -> tuple[float, ...] | None:
    """Exactly `dim` finite numbers, or None."""
    if isinstance(value, (str, bytes)):
        value = load_json(to_text(value) or "")
    if not isinstance(value, (list, tuple)) or len(value) != dim:
        return None
    try:
        numbers = tuple(float(number) for number in value)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def load_json(text: str) -> object:
    """The value of a JSON text, or None where it is none."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def dump_json(value: object) -> str:
    """Compact JSON with sorted keys: the same value always gives the same text.

    NaN, infinities and what is nested deeper than 100 levels become null, bytes base64, times
    ISO text.
    """
    return json.dumps(
        _jsonable(value, 0), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def _jsonable(value: object, depth: int) -> object:
    if not isinstance(value, (dict, list, tuple)):
        return _scalar(value)
    if depth >= _JSON_DEPTH_MAX:
        return None
    if isinstance(value, dict):
        return {whole(str(key)): _jsonable(item, depth + 1) for key, item in value.items()}
    return [_jsonable(item, depth + 1) for item in value]


def _scalar(value: object) -> object:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, (float, Decimal)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64_text(value)
    return whole(value.isoformat() if isinstance(value, date) else str(value))
