"""`recalld model`: which model serves, and how far a new one is."""

from __future__ import annotations

from recall_daemon.commands.program import AsJson, Config, app, open_hub_api, print_answer


@app.command
def model(*, json_: AsJson = False, config: Config = None) -> None:
    """The embedding space that serves, the one being built, and how many texts each has."""
    from recall_daemon.tables import print_model

    with open_hub_api(config) as hub:
        answer = hub.model()
    print_answer(answer, json_, lambda console: print_model(console, answer))
