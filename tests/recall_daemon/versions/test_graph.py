"""Histories and common bases, against their plain definitions; circles and unknown parents too."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from recall_daemon.versions.graph import Graph, Version, age

START = datetime(2026, 1, 1, tzinfo=UTC)

# By its number, the numbers of the versions that it grew from, which may be unknown or later, and
# whether its own system said it.
drawn = st.lists(st.tuples(st.sets(st.integers(0, 9), max_size=2), st.booleans()), max_size=9)
PLAIN = Version("", (), "edit", "x", None, None, None, 0, START)


def versions(told: list[tuple[set[int], bool]]) -> list[Version]:
    made = []
    for number, (parents, is_home) in enumerate(told):
        grown = replace(
            PLAIN,
            version_id=str(number),
            parents=tuple(sorted(map(str, parents))),
            written_at=START + timedelta(minutes=number),
        )
        made.append(replace(grown, kind="home", rank=(number, 0, 0)) if is_home else grown)
    return made


def parents(made: list[Version]) -> dict[str, set[str]]:
    homes = [one.version_id for one in made if one.rank is not None]
    grown = {one.version_id: set(one.parents) for one in made}
    for before, after in itertools.pairwise(homes):
        grown[after].add(before)
    return grown


def history(grown: dict[str, set[str]], name: str) -> set[str]:
    found, left = set(), [name]
    while left:
        if (one := left.pop()) not in found:
            found.add(one)
            left += grown.get(one, ())
    return found


@given(drawn, st.integers(0, 8))
def test_what_two_versions_grew_from(told: list[tuple[set[int], bool]], later: int) -> None:
    made = versions(told)
    grown = parents(made)
    graph = Graph([one for one in made if one.version_id != str(later) or one.rank is not None])
    for one in made[:2]:  # what is asked for before another comes is asked for after it, too
        graph.history(one)
    for one in made:
        graph.add(one)
    for one in made:
        own = history(grown, one.version_id)
        assert {str(n) for n in range(10) if graph.grew_from(one, str(n))} == own
        for other in made:
            common = own & history(grown, other.version_id)
            older = set().union(*(grown.get(name, set()) for name in common))
            newest = [v for v in made if v.version_id in common - older]
            if not newest:  # on a circle each is as new as the others
                newest = sorted((v for v in made if v.version_id in common), key=age)[-1:]
            assert graph.bases(one, other) == sorted(newest, key=age)
