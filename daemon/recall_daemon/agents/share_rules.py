"""Share rules: what an agent writes with a category or a tag, others see.

A rule is live, as a share is: at the next read it counts, or no longer does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from recall_daemon.agents.actor import Actor, is_name
from recall_daemon.agents.sharing import agent_names, iso
from recall_daemon.errors import AgentInvalid, MemoryNotFound
from recall_daemon.store import answers, audit_log, shares
from recall_daemon.store.answers import Key
from recall_daemon.store.audit_log import Act
from recall_daemon.store.shares import EVERYONE, ShareRule
from recall_daemon.store.store import Connection, Store

Json = dict[str, Any]

LABEL_MAX_CHARS: Final = 1_000
# A rule that is not made yet.
_NOT_YET: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class RuleAsked:
    """What `source_agent` (None: anybody) writes with the category and the tag, as far as they are
    named, the `targets` see, `*` being every agent."""

    targets: Sequence[str]
    source_agent: str | None = None
    category: str | None = None
    tag: str | None = None


class ShareRules:
    """Blocking; safe from many threads. What it changes is durable when it returns."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def add(self, actor: Actor, asked: RuleAsked, *, key: Key | None = None) -> Json:
        """`{rule_id}`. For admins: raises `Forbidden`, and `AgentInvalid`."""
        actor.caller.check_admin()
        rule = _rule(asked, actor)

        def work(connection: Connection) -> Json:
            now = self._now()
            act = partial(_add, connection, actor, rule, now)
            return answers.once(connection, key, now, act)

        return self._store.write(work)

    def revoke(self, actor: Actor, rule_id: int, *, key: Key | None = None) -> Json:
        """`{rule_id, revoked}`: at the next read it is gone. Idempotent. For admins.

        Raises `Forbidden`, `MemoryNotFound` where there is no such rule.
        """
        actor.caller.check_admin()

        def work(connection: Connection) -> Json:
            now = self._now()
            act = partial(_revoke, connection, actor, rule_id, now)
            return answers.once(connection, key, now, act)

        return self._store.write(work)

    def list(self, actor: Actor) -> Json:
        """`{rules}`, live ones, oldest first; for who speaks for an agent those that are for it."""
        with self._store.look_up() as connection:
            found = shares.live_rules(connection)
        agent_id = actor.agent_id
        return {"rules": [_rule_json(r) for r in found if agent_id is None or r.is_for(agent_id)]}


def _add(connection: Connection, actor: Actor, rule: ShareRule, now: datetime) -> Json:
    made = replace(rule, rule_id=shares.take_ids(connection, 1), made_at=now)
    shares.put_rule(connection, made, now)
    said = Act(actor.name, "share_rule.made", None, _rule_said(made))
    audit_log.append(connection, said, now)
    return {"rule_id": made.rule_id}


def _revoke(connection: Connection, actor: Actor, rule_id: int, now: datetime) -> Json:
    rule = shares.find_rule(connection, rule_id)
    if rule is None:
        raise MemoryNotFound("there is no such rule", hint="`GET /v1/share-rules` lists them")
    if rule.revoked_at is None:
        shares.put_rule(connection, replace(rule, revoked_at=now), now)
        said = Act(actor.name, "share_rule.revoked", None, {"rule_id": rule_id})
        audit_log.append(connection, said, now)
    return {"rule_id": rule_id, "revoked": True}


def _rule(asked: RuleAsked, actor: Actor) -> ShareRule:
    if asked.category is None and asked.tag is None:
        raise AgentInvalid(
            "a rule goes by a category, a tag, or both", hint="one memory is shared by /v1/shares"
        )
    for what, label in (("category", asked.category), ("tag", asked.tag)):
        if label is not None and not 0 < len(label.strip()) <= LABEL_MAX_CHARS:
            raise AgentInvalid(f"{what} has no characters, or more than {LABEL_MAX_CHARS}")
    if asked.source_agent is not None and not is_name(asked.source_agent):
        raise AgentInvalid(f"{asked.source_agent[:40]!r} is no name of an agent")
    targets = _targets(asked.targets)
    made_by = actor.agent_id or actor.caller.name
    return ShareRule(0, asked.source_agent, asked.category, asked.tag, targets, made_by, _NOT_YET)


def _rule_said(rule: ShareRule) -> Json:
    return {
        "rule_id": rule.rule_id,
        "source_agent": rule.source_agent,
        "category": rule.category,
        "tag": rule.tag,
        "targets": list(rule.targets),
    }


def _rule_json(rule: ShareRule) -> Json:
    return {**_rule_said(rule), "made_by": rule.made_by, "made_at": iso(rule.made_at)}


def _targets(names: Sequence[str]) -> tuple[str, ...]:
    """Every agent is every agent, whoever else is named."""
    return (EVERYONE,) if EVERYONE in names else agent_names(names)
