"""What a user would pick instead, as sides: DuckDB's own vector scan, and LanceDB."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from corpus import DIM, Corpus
from narrowing import name_of, named
from report import progress
from sides import TOP, Search

CHUNK_ROWS = 50_000


def _table(corpus: Corpus, start: int, stop: int) -> pa.Table:
    """Row number, the filterable fields, and the vector."""
    fields = corpus.fields(start, stop)
    flat = pa.array(corpus.vectors(start, stop).ravel())
    columns = {
        name: pa.array([name_of(name, code) for code in getattr(fields, name)])
        for name in ("kind", "project", "topic")
    }
    vectors = pa.FixedSizeListArray.from_arrays(flat, DIM)
    return pa.table({"row": pa.array(range(start, stop)), **columns, "vector": vectors})


def _chunks(corpus: Corpus, rows: int) -> Iterator[pa.Table]:
    for start in range(0, rows, CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, rows)
        yield _table(corpus, start, stop)
        progress(f"stored {stop} of {rows} rows")


class DuckDbSide:
    """A table of FLOAT[384] and `array_inner_product`, all cores, the file on disk."""

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self._corpus = corpus
        self._root = duckdb.connect(
            folder / "vectors.duckdb", config={"threads": os.cpu_count() or 1}
        )
        self._root.execute(
            "CREATE TABLE memories (row BIGINT, kind VARCHAR, project VARCHAR, topic VARCHAR, "
            f"vector FLOAT[{DIM}])"
        )
        self._reader, self._writer = self._root.cursor(), self._root.cursor()

    def build(self, rows: int) -> None:
        for chunk in _chunks(self._corpus, rows):
            self._insert(chunk)
        self._root.execute("CHECKPOINT")

    def add(self, start: int, stop: int) -> None:
        self._insert(_table(self._corpus, start, stop))

    def settle(self, quiet_s: float) -> None:
        self._root.execute("CHECKPOINT")

    def searches(self) -> Mapping[str, Search]:
        return {"duckdb_scan": self._scan}

    def close(self) -> None:
        self._root.close()

    def _insert(self, rows: pa.Table) -> None:
        self._writer.register("incoming", rows)
        self._writer.execute("INSERT INTO memories SELECT * FROM incoming").fetchall()
        self._writer.unregister("incoming")

    def _scan(self, question: int, narrowing: str) -> list[int]:
        chosen = named(narrowing, question)
        where = f"WHERE {chosen[0]} = $value" if chosen else ""
        values: dict[str, Any] = {"query": self._corpus.sources.question_vectors[question]}
        if chosen:
            values["value"] = chosen[1]
        found = self._reader.execute(
            f"SELECT row FROM memories {where} "
            f"ORDER BY array_inner_product(vector, $query::FLOAT[{DIM}]) DESC LIMIT {TOP}",
            values,
        ).fetchall()
        return [row for (row,) in found]


class LanceDbSide:
    """IVF_HNSW_SQ, refined with the full vectors, filters before the search and indexed.

    Twice: with its own defaults and a refine factor, and looking farther, for recall.
    """

    REFINE = 10
    FAR_EF = 1_000

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        import lancedb

        self._corpus = corpus
        self._database = lancedb.connect(folder)
        self._rows: Any = None

    def build(self, rows: int) -> None:
        from lancedb.index import Bitmap, BTree, HnswSq

        self._rows = self._database.create_table(
            "memories", _chunks(self._corpus, rows), schema=_table(self._corpus, 0, 1).schema
        )
        for column, index in (("kind", Bitmap()), ("project", Bitmap()), ("topic", BTree())):
            self._rows.create_index(column, config=index)
        progress("building LanceDB's vector index")
        self._rows.create_index("vector", config=HnswSq(distance_type="dot"))
        self._rows.wait_for_index(["vector_idx"], timeout=timedelta(hours=2))

    def add(self, start: int, stop: int) -> None:
        self._rows.add(_table(self._corpus, start, stop))

    def settle(self, quiet_s: float) -> None:
        self._rows.optimize()

    def searches(self) -> Mapping[str, Search]:
        return {
            "lancedb_refined": lambda question, name: self._near(question, name, None),
            "lancedb_refined_far": lambda question, name: self._near(question, name, self.FAR_EF),
        }

    def close(self) -> None:
        """Nothing is held that the end of the process does not free."""

    def _near(self, question: int, narrowing: str, ef: int | None) -> list[int]:
        vector = self._corpus.sources.question_vectors[question]
        asked = self._rows.search(vector).distance_type("dot").refine_factor(self.REFINE)
        asked = asked.limit(TOP).select(["row", "_distance"])
        if ef is not None:
            asked = asked.ef(ef)
        chosen = named(narrowing, question)
        if chosen:
            asked = asked.where(f"{chosen[0]} = '{chosen[1]}'", prefilter=True)
        return list(asked.to_arrow()["row"].to_pylist())
