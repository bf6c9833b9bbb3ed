"""`make browser [KEEP=folder]`: the dashboard in a real Chromium, if there is one on this machine.

Two hubs run as daemons, one with two systems and one with 1,000; a keyboard and a mouse try their
pages. Prints one line a check, and exits 1 where one fails. Screenshots stay in the folder named.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "recall_daemon"))
from conftest import Publisher
from recall_wire import layout
from recall_wire.records import Record

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update")
HOSTILE = "<script>pwned=1</script><img src=x onerror='pwned=1'> {{pwned=1}} ${pwned=1} `x` kafka"
PAGES = {
    "fleet": "/",
    "search": "/search?q=kafka+lag",
    "memory": "/memory?system=laptop-7&id=m2&start=600&end=900",
    "quarantine": "/quarantine",
    "agents": "/agents",
    "agent": "/agents?name=guard",
    "conflicts": "/conflicts",
    "shared-memory": "/memory?system=agents&id=both",
    "jobs": "/jobs",
}
STOP_MAX_S = 10.0


def _record(memory_id: str, text: str) -> Record:
    return Record(
        memory_id=memory_id,
        kind="note",
        text=text,
        created_at=datetime.now(UTC),
        project="kafka",
        session_id="s1",
        tags=["lag"],
        metadata='{"a": "<b>x</b>"}',
    )


def small(publisher: Publisher) -> None:
    """Two systems: hostile texts, a gap, and a snapshot whose data is not what was told."""
    texts = ("Kafka consumer lag climbed.", HOSTILE, "Deploys go out on Tuesdays. " * 90)
    records = [_record(f"m{at}", text) for at, text in enumerate(texts)]
    publisher.publish("laptop-7", 1, records)
    publisher.publish("server-2", 1, [_record("n0", texts[0])])
    publisher.publish("server-2", 4, [_record("n1", "After a gap.")])
    manifest, data = publisher.manifest("laptop-7", 2, records)
    publisher.bucket.put(layout.data_key("laptop-7", 2, manifest.files[0].name), b"x" * len(data))
    publisher.commit("laptop-7", 2, manifest.to_bytes())


def share(url: str) -> None:
    """Two agents: a memory in conflict, related, shared and locked ones."""
    with httpx.Client(base_url=url, headers={"x-recall-agent": "guard"}) as http:

        def ask(method: str, path: str, body: object) -> dict[str, Any]:
            answer = http.request(method, f"/v1/{path}", json=body)
            answer.raise_for_status()
            told: dict[str, Any] = answer.json()
            return told

        for name, text in (("both", "Tokens rotate hourly. They are kept."), ("held", HOSTILE)):
            ask("POST", "agent/memories", {"memory_id": name, "content": text, "category": "auth"})
        base = http.get("/v1/agent/versions/both").json()["head"]
        for word in ("daily", "weekly"):
            edit = {"content": f"Tokens rotate {word}. They are kept.", "base_version": base}
            ask("PATCH", "agent/memories/both", {**edit, "strategy": "manual_review"})
        ask("POST", "agent/relationships", {"from_id": "both", "to_id": "held", "type": "explains"})
        ask("POST", "shares", {"memory_id": "held", "agents": ["helper"]})
        ask(
            "POST",
            "share-rules",
            {"targets": ["*"], "tag": "doors", "category": "system_knowledge"},
        )
        ask("POST", "locks", {"memory_id": "held"})


def thousand(publisher: Publisher) -> None:
    for at in range(1000):
        publisher.publish(f"host-{at:04d}.example", 1, [_record("m0", f"A note of {at}.")])


@contextmanager
def hub(root: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A daemon over the folder bucket in `root`."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RECALL")}
    env |= {
        "RECALLD_BUCKET_URL": f"file://{root}/bucket",
        "RECALLD_DATA_DIR": str(root / "hub"),
        "RECALLD_HTTP_PORT": str(port),
        "RECALLD_POLL_INTERVAL_S": "2",
        "RECALLD_EMBEDDER": "hash",
        "RECALLD_AGENTS": '[{"name": "guard", "specialities": ["security"]}, {"name": "helper"}]',
    }
    program = Path(sys.executable).parent / "recalld"
    with (root / "log").open("wb") as log:
        daemon = subprocess.Popen([program, "run"], env=env, stdout=log, stderr=log)
        try:
            yield daemon, f"http://127.0.0.1:{port}"
        finally:
            daemon.kill()
            daemon.wait()


class Tried:
    """A browser at one hub, what went wrong in it, and where its pictures go."""

    def __init__(self, browser: Browser, url: str, keep: Path) -> None:
        self.browser = browser
        self.url = url
        self.keep = keep
        self.problems: list[str] = []

    def page(self, path: str, *, width: int = 1280, dark: bool = False) -> Page:
        scheme = "dark" if dark else "light"
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        page = context.new_page()
        page.on("pageerror", lambda error: self.problems.append(f"{path}: {error}"))
        page.on("console", lambda said: self._console(path, said.type, said.text))
        page.on("request", lambda request: self._request(path, request.url))
        page.goto(self.url + path)
        page.wait_for_function("document.querySelector('h1') && window.socket?.connected !== false")
        return page

    def _console(self, path: str, kind: str, text: str) -> None:
        if kind == "error":
            self.problems.append(f"{path}: {text}")

    def _request(self, path: str, url: str) -> None:
        if not url.startswith((self.url, self.url.replace("http", "ws", 1), "data:")):
            self.problems.append(f"{path} asks {url}")


def every_page(tried: Tried) -> None:
    """Wide, dark and narrow: one heading, no accessibility violation, nothing beyond the edge."""
    for name, path in PAGES.items():
        for width, dark in ((1280, False), (1280, True), (400, False)):
            page = tried.page(path, width=width, dark=dark)
            expect(page.locator("h1")).to_have_count(1)
            page.wait_for_load_state("networkidle")
            found = Axe().run(page).response["violations"]
            where = f"{name}, {width} px{', dark' if dark else ''}"
            for each in found:
                nodes = [node["html"][:120] for node in each["nodes"][:3]]
                tried.problems.append(f"{where}: {each['id']} ({each['impact']}): {nodes}")
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                tried.problems.append(f"{where}: is wider than the window")
            look = f"{name}-{width}{'-dark' if dark else ''}.png"
            page.screenshot(path=tried.keep / look, full_page=True)
            page.context.close()


def nothing_runs(tried: Tried) -> None:
    """What a memory holds is shown as text."""
    for path in (
        "/search?q=kafka",
        "/search",
        "/memory?system=laptop-7&id=m1",
        "/agents?name=guard",
    ):
        page = tried.page(path)
        expect(page.get_by_text(HOSTILE).first).to_be_visible()
        if page.evaluate("typeof pwned") != "undefined":
            tried.problems.append(f"{path}: a memory's text ran as script")
        page.context.close()


def keyboard(tried: Tried) -> None:
    """Skip link, search, explanation, and dropping a snapshot, without a mouse."""
    page = tried.page("/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("kafka lag")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=kafka+lag")
    page.get_by_text("Why this was found").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("bm25", exact=True).first).to_be_visible()
    page.screenshot(path=tried.keep / "explained.png", full_page=True)
    page.goto(tried.url + "/quarantine")
    page.get_by_role("button", name="Drop laptop-7/2").press("Enter")
    expect(page.get_by_role("dialog", name="Drop laptop-7/2?")).to_be_visible()
    page.get_by_role("button", name="Drop it").press("Enter")
    expect(page.get_by_text("Nothing is in quarantine.")).to_be_visible()
    page.context.close()


def review(tried: Tried) -> None:
    """A conflict is chosen, undone and merged by the keyboard alone; a lock is taken away."""
    page = tried.page("/conflicts")
    name = "agents / both"
    page.get_by_role("button", name=f"Choose theirs of {name}").press("Enter")
    expect(page.get_by_text("No conflict waits.")).to_be_visible()
    page.goto(tried.url + "/conflicts?state=resolved")
    page.get_by_role("button", name=f"Undo the resolution of {name}").press("Enter")
    expect(page.get_by_text("There are none.")).to_be_visible()
    page.goto(tried.url + "/conflicts")
    page.get_by_role("button", name=f"Merge {name}").press("Enter")
    field = page.get_by_role("textbox", name="Merged text")
    expect(field).to_be_focused()
    page.screenshot(path=tried.keep / "merge.png")
    violations = Axe().run(page).response["violations"]
    tried.problems += [f"merge: {each['id']} ({each['impact']})" for each in violations]
    field.fill("Tokens rotate daily, and weekly.")
    page.get_by_role("button", name="Store the merged text").press("Enter")
    expect(page.get_by_text("No conflict waits.")).to_be_visible()
    page.goto(tried.url + "/memory?system=agents&id=both")
    expect(page.get_by_text("Tokens rotate daily, and weekly.").first).to_be_visible()
    page.goto(tried.url + "/agents")
    page.get_by_role("button", name="Take the lock of agents/held away").press("Enter")
    page.get_by_role("textbox", name="Why").fill("it is stuck")
    page.get_by_role("button", name="Take it away").press("Enter")
    expect(page.get_by_text("Nothing is locked.")).to_be_visible()
    page.context.close()


def act(tried: Tried) -> None:
    """A memory is edited, reinforced, shared, deleted and brought back, by the keyboard alone."""
    page = tried.page("/memory?system=agents&id=both")
    name = "agents/both"
    page.get_by_role("button", name=f"Edit {name}").press("Enter")
    field = page.get_by_role("textbox", name="Text")
    expect(field).to_be_focused()
    page.screenshot(path=tried.keep / "edit.png")
    field.fill("Tokens rotate at noon.")
    page.get_by_role("button", name="Store the text").press("Enter")
    expect(page.locator("div.text.whole")).to_have_text("Tokens rotate at noon.")
    page.get_by_role("button", name=f"Reinforce {name}").press("Enter")
    expect(page.get_by_text("Its importance is")).to_be_visible()
    page.get_by_role("button", name=f"Share {name}").press("Enter")
    page.get_by_role("textbox", name="Agents").fill("helper, analyst")
    page.get_by_role("checkbox", name="They may change it, too").press("Space")
    page.wait_for_timeout(500)  # the dialog has come in
    page.screenshot(path=tried.keep / "share.png")
    violations = Axe().run(page).response["violations"]
    tried.problems += [f"share: {each['id']} ({each['impact']})" for each in violations]
    page.get_by_role("button", name="Share it").press("Enter")
    expect(page.get_by_role("cell", name="analyst")).to_be_visible()
    expect(page.get_by_role("cell", name="write").first).to_be_visible()
    page.get_by_role("button", name=f"Delete {name}").press("Enter")
    page.screenshot(path=tried.keep / "delete.png")
    page.get_by_role("button", name="Delete it").press("Enter")
    expect(page.get_by_text("It is deleted:")).to_be_visible()
    page.wait_for_timeout(500)
    page.screenshot(path=tried.keep / "deleted.png", full_page=True)
    violations = Axe().run(page).response["violations"]
    tried.problems += [f"deleted: {each['id']} ({each['impact']})" for each in violations]
    page.get_by_role("button", name=f"Bring {name} back").press("Enter")
    expect(page.locator("div.text.whole")).to_have_text("Tokens rotate at noon.")
    page.screenshot(path=tried.keep / "acts.png", full_page=True)
    page.context.close()


def theme(tried: Tried) -> None:
    """The switch turns the page dark, and it stays dark."""
    page = tried.page("/")
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("body.body--dark")).to_be_visible()
    page.reload()
    expect(page.locator("body.body--dark")).to_be_visible()
    page.context.close()


def many(tried: Tried) -> None:
    """1,000 systems: those in sight alone are drawn."""
    began = time.perf_counter()
    page = tried.page("/")
    page.locator(".ag-row").first.wait_for()
    print(f"     1,000 systems are there after {time.perf_counter() - began:.2f} s")
    drawn = page.locator(".ag-center-cols-container .ag-row").count()
    if not 5 <= drawn <= 60:
        tried.problems.append(f"{drawn} rows are drawn")
    page.screenshot(path=tried.keep / "thousand.png")
    page.context.close()


def checked(name: str, tried: Tried, work: Callable[[Tried], None]) -> bool:
    tried.problems.clear()
    try:
        work(tried)
    except AssertionError as error:
        tried.problems.append(str(error))
    print(f"{'ok  ' if not tried.problems else 'FAIL'} {name}", flush=True)
    for problem in dict.fromkeys(tried.problems):
        print(f"     {problem}")
    return not tried.problems


def _until_filled(tried: Tried, systems: str) -> None:
    page = tried.page("/")
    expect(page.locator(".tiles dd").first).to_have_text(systems, timeout=120_000)
    page.context.close()


def live_and_stopped(tried: Tried, publisher: Publisher, daemon: subprocess.Popen[bytes]) -> None:
    """A new system appears by itself; SIGTERM ends a hub whose pages are open."""
    page = tried.page("/")
    publisher.publish("new-1", 1, [_record("x", "It has just come.")])
    expect(page.get_by_role("link", name="new-1")).to_be_visible(timeout=20_000)
    began = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(timeout=60)
    if daemon.returncode or time.monotonic() - began > STOP_MAX_S:
        tried.problems.append(f"stopped after {time.monotonic() - began:.1f} s")
    tried.problems = [each for each in tried.problems if "ERR_CONNECTION" not in each]


def main(chromium: str, keep: Path) -> int:
    fine = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        for port, fill, systems in ((8692, small, "3"), (8693, thousand, "1,000")):
            root = Path(folder) / fill.__name__
            (root / "bucket").mkdir(parents=True)
            publisher = Publisher(root / "bucket")
            with hub(root, port) as (daemon, url):
                tried = Tried(browser, url, keep)
                _wait_for(url)
                if fill is small:
                    tried.page("/").screenshot(path=keep / "empty.png", full_page=True)
                fill(publisher)
                if fill is small:
                    share(url)
                _until_filled(tried, systems)
                works = (
                    [many]
                    if fill is thousand
                    else [every_page, nothing_runs, theme, keyboard, review, act]
                )
                for work in works:
                    fine.append(checked(work.__name__, tried, work))
                if fill is small:
                    last = lambda t, p=publisher, d=daemon: live_and_stopped(t, p, d)  # noqa: E731
                    fine.append(checked("live_and_stopped", tried, last))
    print(f"{sum(fine)} passed, {len(fine) - sum(fine)} failed; pictures in {keep}")
    return 0 if all(fine) else 1


def _wait_for(url: str) -> None:
    for _ in range(240):
        try:
            httpx.get(f"{url}/healthz")
            return
        except httpx.TransportError:
            time.sleep(0.25)
    raise SystemExit(f"{url} does not answer")


if __name__ == "__main__":
    found = next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    if found is None:
        sys.exit(f"none of {', '.join(CHROMIUMS)} is on the PATH: nothing was tried")
    kept = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="recalld-"))
    kept.mkdir(parents=True, exist_ok=True)
    sys.exit(main(found, kept))
