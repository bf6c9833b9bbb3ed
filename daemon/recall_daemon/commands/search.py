"""`recalld search`."""

from __future__ import annotations

from datetime import datetime

from recall_daemon.commands.program import AsJson, Config, app, open_hub_api, print_answer


@app.command
def search(
    query: str,
    *,
    system: tuple[str, ...] = (),
    project: tuple[str, ...] = (),
    kind: tuple[str, ...] = (),
    session: tuple[str, ...] = (),
    tag: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 10,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Search every memory by words and meaning. A filter given twice means either."""
    from recall_daemon.search.query import SearchRequest
    from recall_daemon.tables import print_hits

    request = SearchRequest(query, system, project, kind, session, tag, since, until, limit)
    with open_hub_api(config) as hub:
        answer = hub.search(request)
    print_answer(answer, json_, lambda console: print_hits(console, answer))
