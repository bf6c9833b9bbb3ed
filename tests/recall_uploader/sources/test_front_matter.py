"""Front matter: YAML that is kept, and YAML that is text."""

from __future__ import annotations

from datetime import date

import pytest

from recall_uploader.sources.front_matter import FrontMatterBroken, split


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"---\ntitle: T\n---\nbody", ({"title": "T"}, b"body")),
        (b"---\r\ntitle: T\r\n...\r\nbody", ({"title": "T"}, b"body")),
        (b"---\nday: 2026-01-31\n1: x\n---", ({"day": date(2026, 1, 31), "1": "x"}, b"")),
        (b"---\n---\nbody", ({}, b"body")),
        (b"---\nHello\n---\nbody", ({}, b"---\nHello\n---\nbody")),
        (b"---\nnever closed: yes", ({}, b"---\nnever closed: yes")),
        (b"\n---\na: 1\n---\n", ({}, b"\n---\na: 1\n---\n")),
        (b"----\na: 1\n---\n", ({}, b"----\na: 1\n---\n")),
        (b"---\ns: !!set {b, a}\n---\n", ({"s": ["b", "a"]}, b"")),
        (b"", ({}, b"")),
    ],
)
def test_blocks(data: bytes, expected: object) -> None:
    assert split(data) == expected


@pytest.mark.parametrize(
    "block",
    [
        b"a: [",
        b"a: b: c",
        b"\tx",
        b"when: 2026-13-45",
        b"a: &a [1]\nb: *a",
        b"a: !!python/object/apply:os.system [true]",
        b"a: " + b"[" * 5_000,
        b"a: " + b"9" * 10_000,
        b"a: 0x" + b"f" * 10_000,
        b"a: \xff",
        b"? {a: 1}\n: 2",
    ],
)
def test_what_is_no_plain_yaml(block: bytes) -> None:
    with pytest.raises(FrontMatterBroken):
        split(b"---\n" + block + b"\n---\nbody")


def test_a_block_is_bounded() -> None:
    data = b"---\n" + b"# comment\n" * 10_000 + b"---\n"
    assert split(data) == ({}, data)
