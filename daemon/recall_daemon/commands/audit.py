"""`recalld audit`: who wrote, forgot, and gave whom access."""

from __future__ import annotations

from cyclopts import App

from recall_daemon.commands.program import AsJson, Config, app, open_hub_api, print_answer

audit = App(name="audit", help="Who wrote, forgot, and gave whom access.")
app.command(audit)


@audit.command(name="list")
def list_(
    *,
    limit: int = 50,
    before: int | None = None,
    action: str | None = None,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """The newest entries.

    Parameters
    ----------
    before
        Go on below this entry: an answer names it.
    action
        memories.stored, memories.forgotten, token.created, token.revoked, quarantine.retried,
        quarantine.dropped or job.started alone.
    """
    from recall_daemon.tables import print_audit

    with open_hub_api(config, searching=False) as hub:
        answer = hub.audit(limit, before, action)
    print_answer(answer, json_, lambda console: print_audit(console, answer))


@audit.command
def verify(*, json_: AsJson = False, config: Config = None) -> int:
    """Prove that no entry was changed or taken out: each one's hash covers the one before."""
    from recall_daemon.tables import print_fields

    with open_hub_api(config, searching=False) as hub:
        answer = hub.audit_verify()
    print_answer(answer, json_, lambda console: print_fields(console, answer))
    return 0 if answer["ok"] else 1
