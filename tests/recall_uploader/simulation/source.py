"""The source: a JSON Lines file that its owner rewrites, and everything that it ever said."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

Content = dict[str, str]
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Source:
    """`history`: each memory's texts in their order; None where it was not there."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.path = path
        self.content: Content = {}
        self.history: dict[str, list[str | None]] = {}
        self._chance = chance
        self._backups: list[Content] = []
        self._versions = 0
        self._ids = 0

    def rewrite(self) -> str:
        """Change it as its owner might, and say how."""
        changes = (self._add, self._add, self._change, self._change, self._drop, self._restore)
        said = [self._chance.choice(changes)() for _ in range(self._chance.randint(1, 3))]
        if not self.content:
            said.append(self._add())
        self._backups.append(dict(self.content))
        self._remember()
        self._write()
        return ", ".join(said)

    def _add(self) -> str:
        count = self._chance.randint(1, 8)
        for _ in range(count):
            self._ids += 1
            self.content[f"m{self._ids}"] = self._text()
        return f"{count} added"

    def _change(self) -> str:
        for memory_id in (ids := self._some(4)):
            self.content[memory_id] = self._text()
        return f"{len(ids)} changed"

    def _drop(self) -> str:
        for memory_id in (ids := self._some(3)):
            del self.content[memory_id]
        return f"{len(ids)} gone"

    def _restore(self) -> str:
        if not self._backups or self._chance.random() < 0.5:
            return "written again as it was"
        self.content = dict(self._chance.choice(self._backups))
        return "replaced by an older backup"

    def _some(self, at_most: int) -> list[str]:
        ids = sorted(self.content)
        return self._chance.sample(ids, min(len(ids), self._chance.randint(1, at_most)))

    def _text(self) -> str:
        """No two are equal, and none compresses."""
        self._versions += 1
        return f"v{self._versions} {self._chance.randbytes(self._chance.randint(10, 400)).hex()}"

    def _remember(self) -> None:
        for memory_id in {*self.history, *self.content}:
            past = self.history.setdefault(memory_id, [])
            if not past or past[-1] != self.content.get(memory_id):
                past.append(self.content.get(memory_id))

    def _write(self) -> None:
        items = list(self.content.items())
        self._chance.shuffle(items)
        lines = []
        for memory_id, text in items:
            time = _BEGAN + timedelta(minutes=int(text[1:].split()[0]))
            row = {"memory_id": memory_id, "text": text, "updated_at": time.isoformat()}
            lines.append(json.dumps(row) + "\n")
        self.path.write_text("".join(lines))
