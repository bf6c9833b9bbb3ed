"""Who may ask what, and what of the hub comes back: every route, as every role."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # access_table, door
from access_table import ELSEWHERE, INSIDERS, OTHER, OUTSIDERS, OWN, ROWS, UNKNOWN, Row
from door import UNSEEN, Answer, Door, asked_of


async def test_every_route_is_in_the_table(open_test_hub: Any) -> None:
    async with open_test_hub() as hub:
        document = hub.app().openapi()
    routes = {f"{method.upper()} {p}" for p, ms in document["paths"].items() for method in ms}
    assert routes == {row.name for row in ROWS} | ELSEWHERE


async def test_every_route_answers_each_role_as_the_table_says(door: Door) -> None:
    """And nothing that comes back holds what the role may not see."""
    wrong = []
    for row in ROWS:
        for system in (OWN, OTHER, UNKNOWN) if row.names_system else (OWN,):
            for role in (*OUTSIDERS, *INSIDERS):
                answer = await door.ask(row.method, row.ask(system, role), role)
                if answer.status != row.expected(system, role):
                    wrong.append((row.name, system, role, answer.status, answer.text[:200]))
                wrong += [
                    (row.name, system, role, f"tells of {mark}", answer.text[:2_000])
                    for mark in UNSEEN.get(role, ("harbour", "zanzibar", "-red-"))
                    if mark in answer.text
                    and mark not in row.ask(system, role).path
                    and mark not in str(row.ask(system, role).body)
                ]
                wrong += _no_problem(row, role, answer)
    assert wrong == []


def _no_problem(row: Row, role: str, answer: Answer) -> list[Any]:
    """Refusals are problem details; 401 says how to get in."""
    if answer.status < 400:
        return []
    kind = answer.headers["content-type"] == "application/problem+json"
    challenge = answer.headers.get("www-authenticate", "").startswith("Bearer realm=")
    return [] if kind and challenge == (answer.status == 401) else [(row.name, role, answer)]


async def test_what_is_not_yours_is_as_what_is_not_there(door: Door) -> None:
    """The same status, the same words, and the same questions to the store."""
    wrong = []
    for row in ROWS:
        for role in ("instance", "reader") if row.names_system else ():
            answers = []
            for system in (OTHER, UNKNOWN):
                ask = row.ask(system, role)
                with asked_of(door.store) as statements:
                    answer = await door.ask(row.method, ask, role)
                answers.append((answer.status, answer.without(system), statements))
            if answers[0] != answers[1]:
                wrong.append((row.name, role, *answers))
    assert wrong == []
