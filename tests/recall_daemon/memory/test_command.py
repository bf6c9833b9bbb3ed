"""`recalld forget` and its route: what is asked, what is refused, and what is printed."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # traces

from traces import SECRET, holding, records

from recall_daemon.commands import program
from recall_daemon.memory.forget import Forgetting
from recall_daemon.serve import forget as forget_routes
from recall_daemon.serve.guard import Guard


@pytest.fixture
async def hub_folder(
    open_test_hub: Any, publisher: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A hub that nobody runs, and the settings that name it."""
    publisher.publish("a", 1, records(4, [1, 2]))
    async with open_test_hub() as hub:
        await hub.once()
    monkeypatch.setenv("RECALLD_DATA_DIR", str(tmp_path / "hub"))
    monkeypatch.setenv("RECALLD_BUCKET_URL", f"file://{publisher.root}")
    monkeypatch.setenv("RECALLD_EMBEDDER", "hash")
    return tmp_path / "hub"


@pytest.fixture
def recalld(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command line: (exit code, standard output, standard error)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = program._run(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_only_ids_are_taken_at_their_word(
    hub_folder: Path, recalld: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    for criteria in (["--query", SECRET], ["--system", "a"], ["m1", "--system", "a"]):
        code, out, err = recalld("forget", *criteria)
        assert (code, out) == (2, "")
        assert "--yes" in err
        assert err.count("\n") == 1
    code, out, _ = recalld("forget", "--query", SECRET, "--dry-run", "--json")
    assert (code, json.loads(out)["forgotten"]) == (0, 2)

    code, out, _ = recalld("forget", "a/m1", "--json")
    told = json.loads(out)
    assert (code, told["ids"], told["purge"]) == (0, ["a/m1"], "done")

    code, out, _ = recalld("forget", "--query", SECRET, "--yes", "--rewrite")
    assert code == 0
    assert "1 forgotten, 1 before  a 1" in out
    assert "taken out of  systems/a/snapshots/000000000001/" in out
    assert holding(hub_folder.parent) == []


def test_at_a_terminal_it_asks(
    hub_folder: Path, recalld: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    code, out, err = recalld("forget", "m1")
    assert (code, out) == (2, "")
    assert "Forget 1 memories of a for good? [y/N] recalld: nothing was forgotten" in err

    upto: list[int | None] = []
    forget = Forgetting.forget

    def seen(*arguments: Any, **options: Any) -> Any:
        upto.append(options["upto_row"])
        return forget(*arguments, **options)

    monkeypatch.setattr(Forgetting, "forget", seen)
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    code, out, err = recalld("forget", "m1")
    assert code == 0
    assert upto == [None, 4]  # what comes after the count was not meant
    assert "1 forgotten  a 1" in out
    assert "1 rows in  systems/a/snapshots/000000000001/memories-" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing says what to forget"),
        (["--yes", "--rewrite"], "nothing says what to forget"),
        (["--query", " \n ", "--yes"], "the query is empty"),
        (["--system", "../x", "--yes"], "is no system's id"),
        (["m9"], "there is no memory 'm9'"),
        (["x" * 1001], "more than 1000 characters"),
        ([""], "is empty"),
        (["--since", "yesterday", "--yes"], "yesterday"),
    ],
)
def test_what_is_refused_is_one_sentence(
    hub_folder: Path, recalld: Any, arguments: list[str], says: str
) -> None:
    code, out, err = recalld("forget", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


async def test_the_route_forgets_at_once_and_leaves_the_disk_to_the_job(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, records(4, [1, 2]))
    async with open_test_hub() as hub:
        await hub.once()
        guard = Guard(hub.app(), port=80, allowances=(forget_routes.BODY,))
        transport = httpx.ASGITransport(guard, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:

            async def ask(**body: Any) -> httpx.Response:
                return await http.post("/v1/forget", json=body)

            planned = (await ask(query=SECRET, dry_run=True)).json()
            assert (planned["dry_run"], planned["forgotten"], planned["purge"]) == (True, 2, "done")
            told = (await ask(query=SECRET)).json()
            assert (told["dry_run"], told["forgotten"], told["purge"]) == (False, 2, "pending")
            assert hub.search(SECRET, mode="words") == []
            jobs = (await http.get("/v1/jobs")).json()["jobs"]
            assert "purge" in {job["kind"] for job in jobs}
            await hub.hub.jobs.run("purge")
            assert holding(hub.hub.core.settings.data_dir) == []
            assert (await ask(ids=["m1"])).json()["purge"] == "done"
            told = (await ask(ids=["m0"])).json()
            assert (told["purge"], told["purge_due_at"]) == ("pending", "2026-01-03T00:00:00+00:00")
            told = (await ask(ids=["m3"], purge=True)).json()
            assert (told["purge"], told["purge_due_at"]) == ("done", None)

            for body, status, code in (
                ({}, 422, "forget_invalid"),
                ({"ids": ["a/m9"]}, 404, "nothing_to_forget"),
                ({"ids": ["\ud800"]}, 422, "forget_invalid"),
                ({"ids": "m\u0000"}, 404, "nothing_to_forget"),
                ({"ids": [1]}, 422, "forget_invalid"),
                ({"since": "soon"}, 422, "forget_invalid"),
                ({"everything": True}, 422, "forget_invalid"),
                ({"ids": ["m1"], "rewrite": "yes"}, 422, "forget_invalid"),
                ({"query": 7}, 422, "forget_invalid"),
                ({"ids": ["m1"], "upto_row": "9"}, 422, "forget_invalid"),
                ({"ids": ["m1"], "upto_row": -1}, 422, "forget_invalid"),
                ({"ids": ["m1"], "purge": 1}, 422, "forget_invalid"),
            ):
                refused = await http.post(
                    "/v1/forget",
                    content=json.dumps(body),
                    headers={"content-type": "application/json"},
                )
                assert (refused.status_code, refused.json()["code"]) == (status, code), body
            many = await ask(ids=[f"{'x' * 60}{n}" for n in range(50_000)])
            assert many.status_code == 404
