"""The OpenAPI document against the hub that serves it: whatever is asked, no 5xx."""

from __future__ import annotations

import os
import re
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)

SOAK = bool(os.environ.get("RECALLD_TEST_SOAK"))
EXAMPLES = 200 if SOAK else 2
# It never ends, and what it says is not JSON.
STREAMS = ("/v1/events",)
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


def test_nothing_that_the_document_allows_makes_the_hub_fail(hub: Any) -> None:
    schema = schemathesis.openapi.from_url(f"{hub.url}/v1/openapi.json")
    asked = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in STREAMS:
            continue
        asked.append(operation.label)

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=not SOAK,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            answer = case.call(timeout=60)
            case.validate_response(answer, checks=CHECKS)
            assert not re.search(r"Traceback|File \"", answer.text)

        ask()

    assert len(asked) > 30
    assert httpx.get(f"{hub.url}/healthz").status_code == 200
