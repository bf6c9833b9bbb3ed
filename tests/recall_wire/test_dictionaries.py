"""A long value that one row uses costs no row of its neighbours' memory."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest

from recall_wire import dictionaries
from recall_wire.dictionaries import written_out

_IN_LITTLE_MEMORY = """
import contextlib
import resource
import pyarrow as pa
from recall_wire.dictionaries import written_out
limit = 3 << 30
with contextlib.suppress(ValueError):  # macOS bounds no address space
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
column = pa.DictionaryArray.from_arrays([0] * 999 + [1], ["{}", "x" * (16 << 20)])
plain = written_out(column)
assert len(plain) == 1000 and plain[999].as_py() == "x" * (16 << 20)
"""


def test_one_long_value_among_many_rows() -> None:
    subprocess.run([sys.executable, "-c", _IN_LITTLE_MEMORY], check=True)


@pytest.mark.parametrize("piece_bytes", [1, 7, 100, 1 << 20])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_binary()])
def test_what_is_written_out_is_what_was_there(
    monkeypatch: pytest.MonkeyPatch, piece_bytes: int, kind: pa.DataType
) -> None:
    monkeypatch.setattr(dictionaries, "PIECE_BYTES", piece_bytes)
    values = pa.array([b"a", b"", b"long" * 10, "é".encode()], pa.binary()).cast(kind)
    column = pa.DictionaryArray.from_arrays(pa.array([2, None, 0, 1, 3, 3, 0], pa.int32()), values)
    expected = [None if i is None else values[i].as_py() for i in column.indices.to_pylist()]
    for part in (column, column.slice(2), column.slice(1, 3), column.slice(0, 0)):
        plain = written_out(part)
        assert plain.type == kind
        assert plain.to_pylist() == expected[part.offset : part.offset + len(part)]


def test_an_empty_dictionary() -> None:
    column = pa.DictionaryArray.from_arrays(
        pa.array([None, None], pa.int8()), pa.array([], pa.string())
    )
    assert written_out(column).to_pylist() == [None, None]
