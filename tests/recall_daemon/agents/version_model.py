"""One memory as a careful person would keep it, who takes each edit as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

FIELDS = ("text", "importance", "tags", "a", "b")  # a and b are keys of the metadata
KEYS = frozenset(("a", "b"))

NAMELESS = "?"

Content = Mapping[str, Any]


@dataclass
class Made:
    """A version. `moment`: when it was written; `is_own`: somebody other than its system said it,
    and not the hub."""

    parents: tuple[str, ...]
    content: Content
    priority: int
    moment: int
    is_own: bool = True


@dataclass(frozen=True)
class Open:
    """A conflict that waits: what was served when it was met, and in which fields they differ."""

    ours: str
    fields: frozenset[str]


@dataclass
class Resolved:
    """What can be undone, as long as all that came later was built on it."""

    conflict_id: str
    version: str
    theirs: str
    before: str
    open: Open


@dataclass
class Model:
    """`strategy` is how conflicts are resolved about which nobody says more."""

    strategy: str
    made: dict[str, Made] = field(default_factory=dict)
    head: str = ""
    homes: list[str] = field(default_factory=list)
    open: dict[str, Open] = field(default_factory=dict)  # by the other side
    question: set[str] = field(default_factory=set)  # sides of decisions that were undone
    met: dict[str, Open] = field(default_factory=dict)
    resolved: list[Resolved] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    deletion: int | None = None
    is_weighed: bool = False
    gone: bool = False  # its own system deleted it

    @property
    def says(self) -> Content:
        return self.made[self.head].content

    def ancestors(self, *names: str) -> set[str]:
        found: set[str] = set()
        left = list(names)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self.made[name].parents
        return found

    def base(self, name: str) -> Content | None:
        """What a version and the one that is served have in common."""
        main = self.ancestors(self.head)
        while name not in main:
            if not self.made[name].parents:
                return None
            (name,) = self.made[name].parents
        return self.made[name].content

    def overlap(self, name: str) -> frozenset[str]:
        """The fields that both sides changed to different values."""
        base, ours, theirs = self.base(name), self.says, self.made[name].content
        return frozenset(f for f in FIELDS if ours[f] != theirs[f] and _both(base, ours, theirs, f))

    def merged(self, name: str, fields: Iterable[str] = ()) -> dict[str, Any]:
        """What both sides say; in these fields what the other one does."""
        base, ours, theirs = self.base(name), self.says, self.made[name].content
        overlap, chosen = self.overlap(name), set(fields)
        takes = {f for f in FIELDS if f not in overlap and _changed(base, theirs, f)} | chosen
        return {f: theirs[f] if f in takes else ours[f] for f in FIELDS}

    def take(self, name: str, made: Made, strategy: str | None = None) -> str:
        """A version that somebody wrote; returns what comes of it. The head's name is found out
        by `serve`, where it is a new one."""
        self.made[name] = made
        self.texts.add(made.content["text"])
        if not self.head or self.head in self.ancestors(name):
            self.head = name
            self._close(name)
            return "advanced"
        overlap = self.overlap(name)
        if not overlap:
            both = (self.made[self.head], made)
            priority, moment = max(m.priority for m in both), max(m.moment for m in both)
            self._join(name, Made((), self.merged(name), priority, moment, is_own=False))
            return "merged"
        self.met[name] = Open(self.head, overlap)
        is_asked_again = self.question & (self.ancestors(name) - self.ancestors(self.head))
        said = "manual_review" if is_asked_again else self.strategy
        winner = self.winner(strategy or said, self.head, name)
        if winner is None:
            self._close(name)
            self.open[name] = self.met[name]
        else:
            like = made if strategy else self.made[winner]
            fields = overlap if winner == name else frozenset()
            self._join(
                name, replace(like, content=self.merged(name, fields), is_own=bool(strategy))
            )
        return "conflict"

    def winner(self, strategy: str, ours: str, theirs: str) -> str | None:
        """Ties are settled by priority, then time; no two are of one time."""
        if strategy in ("manual_review", "merge_content"):  # each text is one sentence
            return None

        def key(name: str) -> tuple[Any, ...]:
            one = self.made[name]
            first = {"latest_wins": one.moment, "highest_importance": one.content["importance"]}
            return first.get(strategy, 0), one.priority, one.moment

        return max((ours, theirs), key=key)

    def resolve(self, name: str, decision: Mapping[str, Any]) -> dict[str, Any] | None:
        """What is said then; None: that decides nothing."""
        asked = self.open[name]
        theirs, ours = self.made[name].content, self.made[asked.ours].content
        by_theirs = self.merged(name, asked.fields)
        standing = {f: ours[f] if self.says[f] == theirs[f] else self.says[f] for f in asked.fields}
        if decision.get("choose") == "theirs":
            return by_theirs
        if "strategy" not in decision:
            text = {"text": decision["text"]} if "text" in decision else {}
            return self.merged(name) | standing | text
        side = asked.ours if all(standing[f] == ours[f] for f in standing) else self.head
        winner = self.winner(decision["strategy"], side, name)
        if winner is None:
            return None
        return by_theirs if winner == name else self.merged(name) | standing

    def decided(self, name: str, served: str, made: Made, conflict_id: str) -> None:
        """A decision of somebody's became a version."""
        was = self.open[name]
        self.resolved.append(Resolved(conflict_id, served, name, self.head, was))
        self.made[served], self.head = made, served
        self.texts.add(made.content["text"])
        self._close(served)

    def serve(self, name: str) -> None:
        """The name of what was made of two, which the model cannot know. While the memory is gone
        nobody does."""
        if self.head.startswith(NAMELESS):
            made = self.made.pop(self.head)
            self.head = name or f"{NAMELESS}{made.moment}"
            self.made[self.head] = made

    def named(self) -> list[str]:
        return [name for name in self.made if not name.startswith(NAMELESS)]

    def undoable(self) -> list[Resolved]:
        return [
            one
            for one in self.resolved
            if one.version in self.made
            and all(
                one.version in self.ancestors(later)
                for later in list(self.made)[list(self.made).index(one.version) :]
            )
        ]

    def undo(self, one: Resolved) -> None:
        self.resolved.remove(one)
        self.question.add(one.theirs)
        self.open[one.theirs] = one.open
        made = self.made[one.version]
        if self.head == one.version:
            self.head = one.before
            del self.made[one.version]
        else:
            parents = tuple(name for name in made.parents if name != one.theirs)
            self.made[one.version] = replace(made, parents=parents)

    def new_home(self, name: str) -> tuple[str, ...] | None:
        """What its system's next version grew from; None: it cannot be told without weighing all
        anew, since one in between counts no more."""
        last = self.homes[-1] if self.homes else None
        own = [one for one in self.made.values() if one.is_own]
        is_built_on = last in self.ancestors(*(parent for one in own for parent in one.parents))
        if own and last in self.open and not is_built_on:
            del self.open[last]
            self.homes.remove(last)
            parents = self.made.pop(last).parents
            if last in self.question:
                self.question.add(name)  # it is said in its place
        elif own and not is_built_on:
            return None
        else:
            parents = () if last is None else (last,)
        self.homes.append(name)
        return parents

    def _join(self, name: str, joined: Made) -> None:
        self.made[NAMELESS] = replace(joined, parents=(self.head, name))
        self.texts.add(joined.content["text"])
        self.head = NAMELESS
        self._close(NAMELESS)

    def _close(self, name: str) -> None:
        """Conflicts whose other side is part of this."""
        for theirs in self.open.keys() & self.ancestors(name):
            del self.open[theirs]


def _both(base: Content | None, ours: Content, theirs: Content, name: str) -> bool:
    if base is None:  # a key of the metadata that only one of them has is nobody's loss
        return not (name in KEYS and None in (ours[name], theirs[name]))
    return bool(ours[name] != base[name] and theirs[name] != base[name])


def _changed(base: Content | None, theirs: Content, name: str) -> bool:
    if base is None:
        return name not in KEYS or theirs[name] is not None
    return bool(theirs[name] != base[name])
