"""Entry point of `recalld`: says in one sentence what is missing where the extra is."""

from __future__ import annotations

import sys

REFUSED = 2


def main() -> None:
    try:
        from recall_daemon import commands
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("recall"):
            raise
        print(
            "recalld: the hub's libraries are not installed; run pip install 'recalld[daemon]'",
            file=sys.stderr,
        )
        sys.exit(REFUSED)
    commands.main()
