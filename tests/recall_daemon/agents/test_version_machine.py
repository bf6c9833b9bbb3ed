"""Versions and conflicts against a model of a page: agents, instances, decisions, restarts."""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

sys.path.insert(0, str(Path(__file__).parent))  # snapshots, version_acts, …

from snapshots import deliver
from version_acts import AGENTS, FIRST, STRATEGIES, Drawn, draw
from version_model import FIELDS, KEYS, Made, Model, Resolved

from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.decisions import Decision
from recall_daemon.agents.deletion import Deleting
from recall_daemon.agents.editing import Editing, Terms
from recall_daemon.agents.naming import Naming
from recall_daemon.agents.review import Review
from recall_daemon.agents.sight import Grants
from recall_daemon.errors import ResolutionInvalid
from recall_daemon.store import (
    audit,
    audit_log,
    conflicts,
    journal,
    posts,
    versions,
    weigh,
)
from recall_daemon.store.forget import forget_rows
from recall_daemon.store.ledger import Place
from recall_daemon.store.store import Connection, Store
from recall_daemon.versions.content import hash_of, root_id, version_id
from recall_daemon.versions.settle import conflict_id
from recall_wire.formats.values import dump_json, load_json
from recall_wire.records import Record

SOAK = "RECALLD_TEST_SOAK" in os.environ
STEPS = 50
EXAMPLES = 200 if SOAK else 2  # 10,000 steps, or 100

START = datetime(2026, 1, 1, tzinfo=UTC)
HOME, DESK = "laptop", "desk"
OF_WHAT_IS_THERE = ("update", "again", "resolve", "undo", "delete", "forget", "home_deletes")


class Near:
    """No text is far away."""

    def of(self, *_: Any) -> dict[int, Record]:
        return {}

    contents = of


class Machine(RuleBasedStateMachine):
    """The hub says what the model says, after each step."""

    rows: Callable[[list[Record]], pa.Table]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.models: dict[str, Model] = {}
        self.said: dict[str, Record] = {}
        self.names = itertools.count()
        self.seqs = {HOME: 0, DESK: 0}
        self.elapsed = 0
        self.made(Path(self.folder.name))
        self.open()
        for agent in STRATEGIES:
            self.begin(agent)

    def made(self, folder: Path) -> None:
        """Put a store without rows into the folder."""

    def open(self) -> None:
        self.store = Store(Path(self.folder.name))
        naming = Naming(Grants(self.store, AGENTS, now=self.now), "agents")
        parts: Any = (self.store, naming, AGENTS)
        told: Any = {"on_changed": lambda: None, "now": self.now}
        near: Any = Near()
        self.editing, self.review = Editing(*parts, near, **told), Review(*parts, **told)
        self.deleting = Deleting(*parts, near, keep=timedelta(days=30), **told)

    def teardown(self) -> None:
        with self.store.read() as connection:
            assert audit.problems(connection) == audit_log.problems(connection) == []
        self.store.close()
        self.folder.cleanup()

    def now(self) -> datetime:
        return START + timedelta(minutes=self.elapsed)

    @initialize(run=st.integers(0, 2**64))
    def begin_run(self, run: int) -> None:
        self.run = run

    @rule(number=st.integers(0, 2**16))
    def act(self, number: int) -> None:
        act, drawn = draw(self.run, number)
        self.elapsed += 1
        name = list(self.models)[drawn.pick % len(self.models)]
        model = self.models[name]
        is_there = not model.gone and model.deletion is None
        if is_there or act not in OF_WHAT_IS_THERE:
            getattr(self, act)(drawn, name, model)
        if name in self.models:
            self.check(name, self.models[name])

    def check(self, name: str, model: Model) -> None:
        with self.store.look_up() as connection:
            row = versions.find_row(connection, HOME, name)
            kept = versions.load(connection, HOME, name)
        texts = {one.record.text for one in kept if one.record is not None}
        assert row is not None
        if model.gone or model.deletion is not None:
            assert row.state == "deleted"
        else:
            assert row.record is not None
            model.serve(self.head(name))
            assert said_by(row.record) == model.says
            assert self.head(name) == model.head
            texts.add(row.record.text)
        assert model.texts <= texts
        assert self.waiting(name).keys() == (set() if model.gone else model.open.keys())

    def waiting(self, name: str) -> dict[str, str]:
        """The open conflicts, by their other sides."""
        with self.store.look_up() as connection:
            known = conflicts.of_memory(connection, HOME, name)
        return {one.theirs: one.conflict_id for one in known if one.state == "open"}

    def head(self, name: str) -> str:
        with self.store.look_up() as connection:
            return weigh.hold(connection, HOME, name, self.now()).head_id or ""

    # What is said of it.

    def begin(self, agent: str) -> None:
        self.elapsed += 1
        name = f"{agent}-{next(self.names)}"
        self.models[name] = Model(STRATEGIES[agent])
        self.home(name, FIRST, by_post=False)

    def content(self, base: str, model: Model, drawn: Drawn) -> dict[str, Any]:
        return {**model.made[base].content, **drawn.changes}

    def base(self, model: Model, drawn: Drawn) -> str:
        """Half of the time the one that is served."""
        known = model.named()
        is_newest = drawn.base % 2 and model.head in known
        return model.head if is_newest else known[-1 - drawn.base % len(known)]

    def record(self, name: str, content: Mapping[str, Any]) -> Record:
        plain = {field: content[field] for field in FIELDS if field not in KEYS}
        agent = name.partition("-")[0]
        metadata = dump_json(keys_of(content))
        return Record(
            name, kind="general", agent_id=agent, metadata=metadata, updated_at=self.now(), **plain
        )

    def take(
        self, name: str, version: str, made: Made, strategy: str | None = None
    ) -> tuple[str, str | None]:
        """Have the model weigh what the hub has weighed; its outcome, and the conflict."""
        model = self.models[name]
        before, model.is_weighed = model.head, True
        outcome = model.take(version, made, strategy)
        model.serve(self.head(name))
        if outcome != "conflict":
            return outcome, None
        met = conflict_id(before, version)
        if version not in model.open and before in model.named():
            model.resolved.append(Resolved(met, model.head, version, before, model.met[version]))
        return outcome, met

    def update(self, drawn: Drawn, name: str, model: Model) -> None:
        """Through the API, by its agent or by somebody without one."""
        agent = name.partition("-")[0] if drawn.own else None
        base, given = self.base(model, drawn), dict(drawn.changes)
        content = self.content(base, model, drawn)
        if KEYS & given.keys():
            given["metadata"] = keys_of(content)
        names = {"text": "content"}
        body = {
            names.get(field, field): list(value) if field == "tags" else value
            for field, value in given.items()
            if field not in KEYS
        }
        if not body:
            return
        told = self.editing.update(
            Actor(LOCAL, agent), f"{HOME}/{name}", body, Terms(base, strategy=drawn.strategy)
        )
        if content == model.says:
            assert (told["outcome"], told["served"]) == ("unchanged", model.head)
            return
        made = Made((base,), content, AGENTS.priority(agent), self.elapsed)
        outcome = self.take(name, told["version"], made, drawn.strategy)
        assert (told["outcome"], told["conflict_id"]) == outcome

    def edit(self, drawn: Drawn, name: str, model: Model) -> None:
        """Another instance's snapshot, of a version it knew."""
        if not model.made:
            return
        base = self.base(model, drawn)
        self.foreign(name, (base,), self.content(base, model, drawn))

    def unbased(self, drawn: Drawn, name: str, model: Model) -> None:
        """Another instance's, which does not say what it knew."""
        if not model.made:
            return
        self.foreign(name, (), self.content(model.head, model, drawn))

    def foreign(self, name: str, parents: tuple[str, ...], content: Mapping[str, Any]) -> None:
        record = self.record(name, content)
        priority = AGENTS.priority(record.agent_id)
        base = parents[0] if parents else None
        self.snapshot_of(DESK, replace(record, target_system=HOME, base_version=base))
        made = Made(parents, content, priority, self.elapsed)
        self.take(name, version_id(parents, hash_of(record)), made)

    def snapshot(self, drawn: Drawn, name: str, model: Model) -> None:
        self.of_home(drawn, name, model, by_post=False)

    def post(self, drawn: Drawn, name: str, model: Model) -> None:
        self.of_home(drawn, name, model, by_post=True)

    def of_home(self, drawn: Drawn, name: str, model: Model, *, by_post: bool) -> None:
        """Its own system knows but what it said itself, or a version that it was told of."""
        last = model.homes[-1] if model.homes else ""
        before = model.made[last].content if last in model.made else FIRST
        self.home(name, {**before, **drawn.changes}, by_post=by_post)

    def home(self, name: str, content: Mapping[str, Any], *, by_post: bool) -> None:
        record, model = self.record(name, content), self.models[name]
        version = root_id(record)
        parents = model.new_home(version)
        if parents is None:
            return
        if by_post:
            self.store.write(
                lambda c: posts.post_all(c, {HOME: [record]}, self.now(), agents=AGENTS)
            )
        else:
            self.snapshot_of(HOME, record)
        self.said[name], model.gone = record, False
        was_weighed = model.is_weighed
        made = Made(parents, content, AGENTS.priority(record.agent_id), self.elapsed, is_own=False)
        self.take(name, version, made)
        model.is_weighed = was_weighed

    def again(self, _: Drawn, name: str, model: Model) -> None:
        """The same once more is nothing."""
        self.snapshot_of(HOME, self.said[name])

    def home_deletes(self, _: Drawn, name: str, model: Model) -> None:
        self.snapshot_of(HOME, Record(name, op="delete"))
        model.gone = True
        if not model.is_weighed:  # then nobody else has said anything
            self.models[name] = Model(model.strategy, gone=True)

    def snapshot_of(self, system: str, record: Record) -> None:
        self.seqs[system] += 1
        place = Place(system, self.seqs[system])
        deliver(self.store, place, self.rows([record]), AGENTS, self.now())

    # What is done about it.

    def resolve(self, drawn: Drawn, name: str, model: Model) -> None:
        if not model.open:
            return
        theirs = list(model.open)[drawn.base % len(model.open)]
        met = self.waiting(name)[theirs]
        said = model.resolve(theirs, drawn.decision)
        agent = name.partition("-")[0] if drawn.own else None
        actor, decision = Actor(LOCAL, agent), Decision(**drawn.decision)
        if said is None:
            with pytest.raises(ResolutionInvalid):
                self.review.resolve(actor, met, decision)
            return
        told = self.review.resolve(actor, met, decision)
        made = Made((model.head, theirs), said, AGENTS.priority(agent), self.elapsed)
        model.decided(theirs, told["version"], made, met)
        assert (told["state"], told["resolution"]) == ("resolved", told["version"])

    def undo(self, drawn: Drawn, name: str, model: Model) -> None:
        known = model.undoable()
        if known:
            one = known[drawn.base % len(known)]
            told = self.review.undo(Actor(LOCAL), one.conflict_id)
            model.undo(one)
            assert told["state"] == "open"

    def delete(self, _: Drawn, name: str, model: Model) -> None:
        model.deletion = self.deleting.delete(Actor(LOCAL), f"{HOME}/{name}")["deletion_id"]
        model.is_weighed = True

    def restore(self, _: Drawn, name: str, model: Model) -> None:
        if model.deletion is not None:
            told = self.deleting.undo(Actor(LOCAL), model.deletion)
            assert told["restored_ids"] == ([] if model.gone else [name])
            model.deletion = None

    def forget(self, _: Drawn, name: str, model: Model) -> None:
        """And it never comes back."""

        def work(connection: Connection) -> None:
            body = {"identities": [[HOME, name]]}
            entry_no = journal.append(connection, "forget", body, self.now())
            forget_rows(connection, [(HOME, name)], entry_no, self.now())

        self.store.write(work)
        self.snapshot_of(HOME, self.record(name, FIRST))
        foreign = replace(self.record(name, FIRST), target_system=HOME)
        self.snapshot_of(DESK, foreign)
        with self.store.look_up() as connection:
            row = versions.find_row(connection, HOME, name)
            assert row is not None
            assert row.state == "forgotten"
            assert versions.load(connection, HOME, name) == []
            assert conflicts.of_memory(connection, HOME, name) == []
        del self.models[name]
        self.begin(name.partition("-")[0])

    def restart(self, *_: Any) -> None:
        self.store.close()
        self.open()
        for name, model in self.models.items():
            self.check(name, model)


def keys_of(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: content[key] for key in KEYS if content[key] is not None}


def said_by(record: Record) -> dict[str, Any]:
    keys = load_json(record.metadata) or {}
    plain = {"text": record.text, "importance": record.importance, "tags": record.tags}
    return plain | {key: keys.get(key) for key in KEYS}


@pytest.mark.timeout(3600)
def test_versions_and_conflicts_do_what_the_model_does(
    with_store: Callable[[Path], Path], rows: Any
) -> None:
    given = rows

    class Here(Machine):
        rows = staticmethod(given)

        def made(self, folder: Path) -> None:
            with_store(folder)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
