"""The model: there, and how fast on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator

from recall_daemon.doctor.look import Look
from recall_wire.doctor.finding import Finding, note, ok, warning
from recall_wire.errors import RecallError

TEXTS = 64
# Of the length of real memories: 45 tokens on average.
_TEXT = (
    "Memory {}: the deployment of the search service failed since its container had no permission "
    "to read the shared volume, so the owner of the folder was changed and the job was run again "
    "the next morning, this time with a longer timeout."
)


def model(look: Look) -> Iterator[Finding]:
    """Measured beside a daemon too, which has the cores to share meanwhile."""
    from recall_daemon.embed.choose import open_embedder

    settings = look.settings
    if look.hub is None and settings.embedder in ("auto", "minilm"):
        # Opening it would export it into a folder that is not there.
        yield from _there(look)
        return
    try:
        embedder = open_embedder(
            settings.embedder,
            data_dir=settings.data_dir,
            model_dir=settings.model_dir,
            threads=settings.embed_threads,
        )
        embedder.encode([_TEXT.format("first")])
        began = time.perf_counter()
        embedder.encode([_TEXT.format(number) for number in range(TEXTS)])
        per_s = TEXTS / (time.perf_counter() - began)
    except RecallError as error:
        yield _missing(error)
        return
    yield ok("model", f"{embedder.space.space_id}, {per_s:.0f} texts/s now")


def _there(look: Look) -> Iterator[Finding]:
    from recall_daemon.embed.locate import locate

    try:
        files = locate(look.settings.model_dir)
    except RecallError as error:
        yield _missing(error)
        return
    yield note("model", f"{files.space.space_id} is there; not measured before the first start")


def _missing(error: RecallError) -> Finding:
    remedy = error.hint or "pip install 'recalld[daemon]', or set model_dir"
    return warning("model", f"memories are found by their words alone: {error.message}", remedy)
