"""How a memory database on disk becomes records, in the order the data passes.

`base` the one interface · `signatures`, `detect` which reader a file needs, by its first bytes ·
`duckdb_file`, `duckdb_errors` a DuckDB file that nobody vouches for · `sql_values` its columns, of
any type · `parquet_rows` a Parquet file's · `session_buddy`, `parquet_file`, `jsonl_file` the three
kinds of source (the latter two on `table_source`) · `repeats` ids that come twice · `session_row`,
`record_row` one row becomes one `Record` · `values` single values of any type · `finish` the last
checks · `contract` a snapshot's own data file.
"""

from recall_wire.formats.base import ReadOptions, RecordSource
from recall_wire.formats.detect import open_source

__all__ = ["ReadOptions", "RecordSource", "open_source"]
