"""A process whose clients hammer memories until it, or the hub, is killed: `… URL NAME MEMORY…`.

It prints a line when it begins, and one before and after each increment.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # hammering_child

from hammering_child import Hammerer

CLIENTS, ROUNDS = 4, 50
# Who is killed in a line keeps its place until its wait is over.
LEASE_S, WAIT_S = 1.0, 2.0


def main(url: str, name: str, *memories: str) -> None:
    def say(line: str) -> None:
        print(line + "\n", end="", flush=True)

    terms: Any = {"lease_s": LEASE_S, "wait_s": WAIT_S, "say": say}
    crew = [
        Hammerer(url, f"{name}-{n}", list(memories), f"{name} {n}", **terms) for n in range(CLIENTS)
    ]
    say("begun")
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda one: one.run(ROUNDS), crew))


if __name__ == "__main__":
    main(*sys.argv[1:])
