"""Tokens: what is asked for is checked, what is given is recognised, what is revoked is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recall_daemon.access.caller import Caller
from recall_daemon.access.tokens import Asked, Tokens
from recall_daemon.errors import Forbidden, TokenInvalid, TokenUnknown
from recall_daemon.store.store import Store

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def tokens(store: Store, clock: Clock) -> Tokens:
    return Tokens(store, now=clock)


def test_an_instance_writes_and_reads_its_own_system_alone(tokens: Tokens) -> None:
    _, token = tokens.create(Asked("instance", system_id="laptop-7"), actor="local")
    caller = tokens.caller(token)
    assert caller is not None
    assert caller.may_write("laptop-7")
    assert not caller.may_write("laptop-8")
    assert caller.reach.holds("laptop-7", "any")
    assert not caller.reach.holds("laptop-8", None)
    with pytest.raises(Forbidden):
        caller.check_write("laptop-8")
    with pytest.raises(Forbidden):
        caller.check_admin()


def test_an_instance_may_be_let_read_more(tokens: Tokens) -> None:
    asked = Asked("instance", system_id="a", systems=("a", "b"))
    caller = tokens.caller(tokens.create(asked, actor="local")[1])
    assert caller is not None
    assert caller.reach.holds_system("b")
    assert not caller.may_write("b")


def test_a_reader_sees_its_systems_and_projects(tokens: Tokens) -> None:
    asked = Asked("reader", systems=("a",), projects=("p",))
    caller = tokens.caller(tokens.create(asked, actor="local")[1])
    assert caller is not None
    assert caller.reach.holds("a", "p")
    assert not caller.reach.holds("a", "q")
    assert not caller.reach.holds("a", None)
    assert not caller.may_write("a")


def test_the_secret_is_nowhere_in_the_store(tokens: Tokens, store: Store, tmp_path: Path) -> None:
    _, token = tokens.create(Asked("admin"), actor="local")
    secret = token.split("_", 2)[2].encode()
    store.close()
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and secret in p.read_bytes()]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1],
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token.replace("rct_", "rct-"),
        lambda token: "rct_" + "0" * 12 + token[16:],
        lambda token: token + "\n",
        lambda token: "",
        lambda token: "\ud800",
    ],
)
def test_a_wrong_token_is_nobodys(tokens: Tokens, spoil: Callable[[str], str]) -> None:
    _, token = tokens.create(Asked("admin"), actor="local")
    assert tokens.caller(token) is not None
    assert tokens.caller(spoil(token)) is None


def test_expired_and_revoked_tokens_open_nothing(
    tokens: Tokens, clock: Clock, store: Store
) -> None:
    row, short = tokens.create(Asked("admin", life=timedelta(hours=1)), actor="local")
    other, revoked = tokens.create(Asked("admin"), actor="local")
    assert tokens.any
    clock.now += timedelta(hours=1)
    tokens.revoke(other.token_id, actor="local")
    assert tokens.revoke(other.token_id, actor="local")["state"] == "revoked"

    for known in (tokens, Tokens(store, now=clock)):
        assert (known.caller(short), known.caller(revoked), known.any) == (None, None, False)
        states = {told["token_id"]: told["state"] for told in known.listed()}
        assert states == {row.token_id: "expired", other.token_id: "revoked"}
        assert "secret_sha256" not in known.listed()[0]
    with pytest.raises(TokenUnknown):
        tokens.revoke("000000000000", actor="local")
    assert row.expires_at == START + timedelta(hours=1)


@pytest.mark.parametrize(
    "asked",
    [
        Asked("root"),  # type: ignore[arg-type]
        Asked("instance"),
        Asked("reader", system_id="a"),
        Asked("admin", systems=("a",)),
        Asked("instance", system_id="../a"),
        Asked("reader", systems=("a/b",)),
        Asked("reader", systems=()),
        Asked("reader", projects=("",)),
        Asked("reader", name="x" * 101),
        Asked("reader", name="a\nb"),
        Asked("reader", life=timedelta(0)),
        Asked("reader", life=timedelta(days=4000)),
    ],
)
def test_what_makes_no_sense_is_refused(tokens: Tokens, asked: Asked) -> None:
    with pytest.raises(TokenInvalid):
        tokens.create(asked, actor="local")
    assert tokens.listed() == []


def test_the_caller_of_a_loopback_port_may_do_everything() -> None:
    caller = Caller("loopback", "admin")
    caller.check_admin()
    caller.check_write("any")
    assert caller.reach.is_everything
