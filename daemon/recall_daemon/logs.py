"""The log: one event a line on standard error, JSON where nobody watches, and no secret in it."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Final, Literal

import structlog
from structlog.typing import ExcInfo, Processor

Level = Literal["debug", "info", "warning", "error"]

# What libraries say below a warning is about themselves: requests, headers, sockets.
_OTHERS: Final = logging.WARNING
_TOKEN = re.compile(r"(rct_[0-9a-f]{12})_[A-Za-z0-9_-]+")

_QUOTED = re.compile(r"""(['"]).*?\1""", re.DOTALL)
_FRAME = '  File "'

_HANDLER = "recalld"


def set_up(level: Level = "info") -> None:
    """Send what this program and its libraries say the same way. Idempotent.

    Whatever a request logs carries its `request_id` (bound by `serve.observed`).
    """
    terminal = sys.stderr.isatty()
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_traceback),
        without_tokens,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    _take_over_logging([structlog.stdlib.add_logger_name, *shared], renderer)
    logging.captureWarnings(not terminal)


def set_level(level: Level) -> None:
    """Say more, or less, from now on; also in loggers that exist already."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_number(level)))


def _number(level: Level) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _take_over_logging(before: list[Processor], renderer: Processor) -> None:
    """uvicorn, botocore and the others log by the standard library."""
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name(_HANDLER)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [h for h in root.handlers if h.get_name() != _HANDLER] + [handler]
    root.setLevel(_OTHERS)


def without_values(said: str) -> str:
    """What is said of somebody's data, without the pieces of it that are quoted.

    For the log alone: the reason of a quarantine is kept whole, and told to whoever may see it.
    """
    return _QUOTED.sub(r"\1…\1", said)


def _traceback(exc_info: ExcInfo) -> str:
    """The frames without their variables, and what each error says without what it quotes: both
    may hold memories or credentials."""
    parts = traceback.format_exception(*exc_info)
    return "".join(
        part if part.startswith(_FRAME) else without_values(part) for part in parts
    ).rstrip()


def without_tokens(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A token that got into what is said, an error's or a library's, is cut to its public id."""
    for name, value in event.items():
        if isinstance(value, str) and "rct_" in value:
            event[name] = _TOKEN.sub(r"\1_…", value)
    return event
