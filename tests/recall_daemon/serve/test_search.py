"""`POST /v1/search` as a client meets it: whatever is sent, a result or one sentence."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from recall_daemon.search.query import FILTER_MAX_VALUES
from recall_daemon.serve.guard import Guard
from recall_wire.records import Record

TEXTS = {
    "lag": "Kafka consumer lag climbed to 1.2 million messages",
    "chinese": "数据库连接池在高负载下耗尽了",
    "arabic": "تعطلت قاعدة البيانات بعد منتصف الليل",
    "rocket": "released at last 🚀",
    "code": "if (a && b) { return \"x\"; } // SELECT * FROM t WHERE a = 'b'",
}
# What must be found by each, or None where anything may be.
QUERIES = {
    "kafka": "lag",
    "连接池": "chinese",
    "قاعدة البيانات": "arabic",
    "🚀": "rocket",
    "KAFKA\0lag": "lag",
    "\ud83d kafka": "lag",
    '"consumer lag" \u202e': "lag",
    'return "x"; } //': "code",
    "' OR 1=1; DROP TABLE memories; --": None,
    "text:kafka AND (system:* OR -lag)^9~2": "lag",
    '[a TO z] {* TO *} +/-!(){}[]^"~*?:\\/': None,
    ".*(kafka|lag)+?$ \\b(?=x)": None,
    '"' * 10_000: None,
    '"kafka" ' * 10_000: "lag",
    '"unbalanced quotes': None,
    "the of and to": None,
    "👍🏽👩‍👩‍👧‍👦" * 1_000: None,
    "a" * 100_000: None,
    "kafka " * 16_000: "lag",
    "../../etc/passwd %00 <script>alert(1)</script>": None,
}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"query": "x" * 500_000}, "500000 characters"),
    ({"query": " "}, "empty"),
    ({"limit": 0}, "limit is 0"),
    ({"limit": -1}, "limit is -1"),
    ({"limit": 10**9}, "limit is 1000000000"),
    ({"limit": 10**400}, "limit is 1000"),
    ({"limit": "x"}, "not a whole number"),
    ({"offset": 10**30}, "offset is 1000"),
    ({"since": "2026-02-01", "until": "2026-01-01"}, "is not before until"),
    ({"since": "2026-02-01", "until": "2026-02-01"}, "is not before until"),
    ({"sytem": "a"}, "'sytem' is not known"),
    ({"\ud800": "a"}, "is not known"),
    ({"kind": {"a": 1}}, "kind is neither"),
    ({"tags": [None]}, "tags is neither"),
    ({"system": [f"s{n}" for n in range(10_000)]}, "10000 values"),
    ({"recency_weight": float("nan")}, "recency_weight is nan"),
    ({"importance_weight": float("inf")}, "importance_weight is inf"),
    ({"min_score": -1}, "min_score is -1"),
    ({"mode": "regex"}, "mode 'regex'"),
    ({"explain": "yes"}, "explain is neither"),
]


BODIES = [
    (b"", 422),
    (b"kafka", 422),
    (b"[1, 2]", 422),
    (b'{"query": "\xff\xfe"}', 400),
    (b'{"query": "x", "limit": ' + b"9" * 5_000 + b"}", 400),
    (b"[" * 200_000, 400),
    (b'{"query": "' + b"x" * (1 << 20) + b'"}', 413),
]


@pytest.fixture
async def ask(open_test_hub, publisher):
    """Post a body, JSON or bytes, to a hub that holds `TEXTS`."""
    when = datetime(2026, 1, 1, tzinfo=UTC)
    records = [
        Record(memory_id=name, kind="note", text=text, created_at=when, updated_at=when)
        for name, text in TEXTS.items()
    ]
    publisher.publish("laptop", 1, records)
    async with open_test_hub() as hub:
        await hub.once()
        transport = httpx.ASGITransport(Guard(hub.app(), port=8682), raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8682"
        ) as client:

            async def post(body: Any) -> httpx.Response:
                # ASCII JSON, in which a lone surrogate can be written as any client may write it.
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                headers = {"content-type": "application/json"}
                return await client.post("/v1/search", content=content, headers=headers)

            yield post


async def test_any_text_is_a_query(ask):
    for query, wanted in QUERIES.items():
        for mode in ("hybrid", "words", "meaning"):
            answer = await ask({"query": query, "mode": mode, "explain": True, "context": 1})
            assert answer.status_code == 200, (query[:40], answer.text[:200])
            found = [hit["memory_id"] for hit in answer.json()["hits"]]
            if wanted and mode != "meaning":
                assert found[:1] == [wanted], query[:40]


async def test_what_cannot_be_asked_is_one_sentence(ask):
    for fields, sentence in REFUSED:
        answer = await ask({"query": "x"} | fields)
        assert answer.status_code == 422, fields
        detail = answer.json()["detail"]
        assert sentence in detail
        assert "\n" not in detail
        assert len(detail) < 300


async def test_a_body_that_is_none_is_one_sentence(ask):
    for body, status in BODIES:
        answer = await ask(body)
        assert answer.status_code == status, body[:40]
        assert len(answer.json()["detail"]) < 300


async def test_a_filter_with_a_value_that_nothing_has_finds_what_the_others_allow(ask):
    odd = ["\ud800", "\0", "x" * 10_000, "laptop' OR 1=1", "*"]
    assert (await ask({"query": "kafka", "system": odd})).json()["hits"] == []
    answer = await ask({"query": "kafka", "system": [*odd, "laptop"], "limit": 1})
    assert [hit["memory_id"] for hit in answer.json()["hits"]] == ["lag"]
    many = [f"system-{n}" for n in range(FILTER_MAX_VALUES - 1)]
    answer = await ask({"query": "kafka", "system": [*many, "laptop"], "limit": 1})
    assert [hit["memory_id"] for hit in answer.json()["hits"]] == ["lag"]
