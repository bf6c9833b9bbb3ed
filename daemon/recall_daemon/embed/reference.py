"""The texts on which one way of running the model is compared with another."""

from __future__ import annotations

from recall_daemon.embed.base import Embedder

_PARAGRAPH = (
    "The nightly backup failed because the disk was full; we moved the write-ahead log to another "
    "volume, raised the alert threshold to 80 % and agreed to rotate the archives every Sunday. "
)

CHECK_TEXTS = (
    "",
    " ",
    "ok",
    "How do I rotate the API keys without downtime?",
    "The deploy failed: connection refused by 10.0.0.7:5432 (attempt 3 of 5).",
    "def add(a: int, b: int) -> int:\n    return a + b",
    "SELECT memory_id, text FROM memories WHERE project = 'atlas' ORDER BY created_at DESC",
    "Grüße aus Köln — naïve façade, coöperate, Ångström",
    "数据库在夜间备份时磁盘已满，我们把日志移到了另一个卷。",  # noqa: RUF001
    "Мы перенесли журнал на другой том.",
    "🎉 shipped 🚀🚀 👩‍👩‍👧‍👦",
    "null \0 byte, tab \t, escape \x1b[31m, zero\u200bwidth",
    "a" * 300,
    "!?.,;:" * 40,
    _PARAGRAPH,
    _PARAGRAPH * 4,
    _PARAGRAPH * 12,
)


def lowest_cosine(one: Embedder, other: Embedder) -> float:
    """The lowest cosine between two embedders' vectors of the same text."""
    products = one.encode(CHECK_TEXTS) * other.encode(CHECK_TEXTS)
    return float(products.sum(axis=1).min())
