"""An already spooled file to an S3 server, beside what a user would pick instead; prints JSON.

`bench/transfer.py [--mib N] [--rounds N] [--tls] [--only NAME…]`: one file of random bytes goes to
moto's server, a separate process, by `recall` (an outbox shipped by `ship`), `boto3.upload_file`
with its defaults, `s5cmd` and `awscli`. Rounds are interleaved, each begins with another program,
figures are medians. Memory and CPU are counted over the same program idle: imports done, client
made and connected; for a command, a file of one byte. The server counts the bytes and the parts in
flight.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import s3_server
import transfer_clients as clients
from processes import MIB, Usage
from transfer_clients import COMMANDS, Work

RSS_BUDGET_MIB = 32
IN_FLIGHT_BUDGET = 4
OURS, BOTO3 = "recall", "boto3.upload_file"
NAMES = (OURS, BOTO3, *COMMANDS)

Client = Callable[[Work], Usage]
Round = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tls", action="store_true", help="HTTPS, with a self-signed certificate")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recall-transfer-") as name:
        folder = Path(name)
        programs = clients.install(folder / "programs", set(options.only) & set(COMMANDS))
        with s3_server.running(tls=options.tls) as server:
            work = Work(_random_file(folder / "random", options.mib), folder, server)
            rounds = compare(_clients(programs, options.only), work, options.rounds)
        result = {"versions": clients.versions(folder / "programs")} | report(rounds, options.mib)
    print(json.dumps({"benchmark": "transfer", "tls": options.tls} | result, indent=2))


def _clients(programs: dict[str, Path], only: Sequence[str]) -> dict[str, Client]:
    every: dict[str, Client] = {OURS: clients.ours, BOTO3: clients.boto3_upload_file}
    every |= {
        name: partial(clients.command, program=program, words=COMMANDS[name])
        for name, program in programs.items()
    }
    return {name: every[name] for name in only}


def compare(every: dict[str, Client], work: Work, rounds: int) -> dict[str, list[Round]]:
    found: dict[str, list[Round]] = {name: [] for name in every}
    for number in range(rounds):
        order = list(every.items())
        for name, client in order[number % len(order) :] + order[: number % len(order)]:
            found[name].append(one_round(client, work))
    return found


def one_round(client: Client, work: Work) -> Round:
    """Raises `ValueError` where the whole file is not there afterwards."""
    size = work.file.stat().st_size
    # A client that gave up on an answer and asked again can leave one that appears later.
    work.server.take_away(size)
    work.server.counts()
    used = client(work)
    counts = work.server.counts()
    if not work.server.take_away(size):
        raise ValueError("the file did not arrive whole")
    return {
        "wall_s": used.wall_s,
        "cpu_s_per_gib": used.cpu_s / (size / (1 << 30)),
        "peak_rss_mib_over_idle": used.peak_rss_bytes / MIB,
        "parts": counts["parts"],
        "most_in_flight": counts["most_in_flight"],
        "bytes_sent": counts["bytes"],
    }


def report(rounds: dict[str, list[Round]], mib: int) -> dict[str, Any]:
    medians = {
        name: {key: round(median(each[key] for each in found), 3) for key in found[0]}
        for name, found in rounds.items()
    }
    cpu = {name: [round(each["cpu_s_per_gib"], 3) for each in rounds[name]] for name in rounds}
    return {
        "mib": mib,
        "medians": medians,
        "cpu_s_per_gib_each_round": cpu,
        "ours_divided_by": {
            name: {
                key: round(medians[OURS][key] / max(figures[key], 1e-9), 3)
                for key in ("wall_s", "cpu_s_per_gib", "peak_rss_mib_over_idle")
            }
            for name, figures in medians.items()
            if name != OURS and OURS in medians
        },
        "within_budget": within_budget(rounds, medians),
    }


def within_budget(
    rounds: dict[str, list[Round]], medians: dict[str, dict[str, float]]
) -> dict[str, bool]:
    """The worst round counts for memory and parts, the median for CPU."""
    if OURS not in rounds or BOTO3 not in rounds:
        return {}
    worst = {key: max(each[key] for each in rounds[OURS]) for key in rounds[OURS][0]}
    return {
        "rss": worst["peak_rss_mib_over_idle"] <= RSS_BUDGET_MIB,
        "in_flight": worst["most_in_flight"] <= IN_FLIGHT_BUDGET,
        "cpu": medians[OURS]["cpu_s_per_gib"] <= medians[BOTO3]["cpu_s_per_gib"],
    }


def _random_file(path: Path, mib: int) -> Path:
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))
    return path


if __name__ == "__main__":
    main()
