"""`recalld search`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from cyclopts import Parameter

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
    agent: tuple[str, ...] = (),
    user: tuple[str, ...] = (),
    namespace: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 10,
    offset: int = 0,
    mode: Literal["hybrid", "words", "meaning"] = "hybrid",
    context: int = 0,
    recency_weight: float = 0.0,
    importance_weight: float = 0.0,
    min_score: float = 0.0,
    fold: Annotated[bool, Parameter(name="--fold", negative="--no-fold")] = True,
    explain: Annotated[bool, Parameter(name="--explain", negative="")] = False,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Search every memory by words and meaning. A filter given twice means either.

    Terms in double quotes must stand side by side in every hit. An id, a path or an identifier in
    the query is found exactly and comes first.

    Parameters
    ----------
    offset
        Where the page starts; an answer names that of the next one.
    mode
        Rank by words and meaning (hybrid), or by one of them alone.
    context
        So many turns of the session before and after each hit, 0 to 10.
    recency_weight
        0 to 1: how much of the score is the age, which halves every 30 days.
    importance_weight
        0 to 1: how much of the score is the importance.
    min_score
        Leave out hits with a lower score.
    fold
        Near-duplicates are one hit, which names all who said it.
    explain
        Show every number that a score was made of.
    """
    from recall_daemon.search.query import SearchRequest
    from recall_daemon.tables import print_hits

    request = SearchRequest(
        query=query,
        system=system,
        project=project,
        kind=kind,
        session=session,
        tags=tag,
        agent=agent,
        user=user,
        namespace=namespace,
        since=since,
        until=until,
        limit=limit,
        offset=offset,
        mode=mode,
        context=context,
        recency_weight=recency_weight,
        importance_weight=importance_weight,
        min_score=min_score,
        fold=fold,
        explain=explain,
    )
    with open_hub_api(config) as hub:
        answer = hub.search(request)
    print_answer(answer, json_, lambda console: print_hits(console, answer, first=offset + 1))
