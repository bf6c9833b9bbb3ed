"""The store's tables, as a list of migrations. A migration commits together with its record."""

from __future__ import annotations

import duckdb

from recall_daemon.errors import StoreDamaged, StoreTooNew
from recall_daemon.store.schema_shared import SHARED_MEMORIES

# No foreign keys (updating a LIST column of a referenced row fails) and no function defaults (a WAL
# that holds one cannot be replayed by every way of opening a file).
_FIRST = """
CREATE TABLE counters (name VARCHAR PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO counters VALUES ('change_no', 0), ('row_id', 0);

CREATE TABLE facts (name VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);

CREATE TABLE systems (
    system_id VARCHAR PRIMARY KEY,
    machine VARCHAR,
    instance_id VARCHAR,
    clash VARCHAR,
    head_etag VARCHAR,
    head_seq BIGINT,
    head_changed_at TIMESTAMPTZ,
    ack_sha256 VARCHAR,
    first_seen_at TIMESTAMPTZ NOT NULL,
    last_merged_at TIMESTAMPTZ
);

-- The ledger. A snapshot's place in its system's order is (seq, sub): sub is 0 for a snapshot with
-- a number of its own, and 1, 2, … for what came without one after the highest merged seq.
CREATE TABLE snapshots (
    system_id VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    sub BIGINT NOT NULL,
    origin VARCHAR NOT NULL,
    locator VARCHAR NOT NULL,
    etag VARCHAR,
    state VARCHAR NOT NULL,
    kind VARCHAR,
    manifest_sha256 VARCHAR,
    rows BIGINT NOT NULL,
    deletes BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    rows_done BIGINT NOT NULL,
    reason VARCHAR,
    created_at TIMESTAMPTZ,
    first_seen_at TIMESTAMPTZ NOT NULL,
    settled_at TIMESTAMPTZ,
    PRIMARY KEY (system_id, seq, sub)
);

CREATE TABLE memories (
    row_id BIGINT NOT NULL,
    change_no BIGINT NOT NULL,
    system_id VARCHAR NOT NULL,
    memory_id VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    sub BIGINT NOT NULL,
    row_no BIGINT NOT NULL,
    content_hash VARCHAR NOT NULL,
    text_hash VARCHAR,
    kind VARCHAR,
    text VARCHAR,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    project VARCHAR,
    namespace VARCHAR,
    session_id VARCHAR,
    agent_id VARCHAR,
    user_id VARCHAR,
    tags VARCHAR[],
    importance FLOAT,
    parent_id VARCHAR,
    metadata VARCHAR,
    base_version VARCHAR,
    merged_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (system_id, memory_id)
);

CREATE TABLE vectors (
    space_id VARCHAR NOT NULL,
    text_hash VARCHAR NOT NULL,
    change_no BIGINT NOT NULL,
    vector FLOAT[] NOT NULL,
    PRIMARY KEY (space_id, text_hash)
);
"""

# Tiers, passages, and what the hub does in the background.
_SECOND = """
-- A cold row keeps everything but its text and metadata; those are row `cold_row` of `cold_file`.
ALTER TABLE memories ADD COLUMN tier VARCHAR;
UPDATE memories SET tier = 'hot';
ALTER TABLE memories ADD COLUMN summary VARCHAR;
ALTER TABLE memories ADD COLUMN cold_file BIGINT;
ALTER TABLE memories ADD COLUMN cold_row BIGINT;
INSERT INTO counters VALUES ('cold_file', 0), ('journal', 0), ('job', 0);

-- One vector a passage: characters [start_char, end_char) of the text. `passages` is how many the
-- text has; NULL: the vector came with a snapshot, and nobody has looked how far it reaches. A hot
-- text has `vector`; a warm or cold one `code` and `scale` (vector = code * scale), never both.
CREATE TABLE passages (
    space_id VARCHAR NOT NULL,
    text_hash VARCHAR NOT NULL,
    passage INTEGER NOT NULL,
    passages INTEGER,
    start_char INTEGER NOT NULL,
    end_char INTEGER,
    change_no BIGINT NOT NULL,
    vector FLOAT[],
    code TINYINT[],
    scale FLOAT
);
INSERT INTO passages SELECT space_id, text_hash, 0, NULL, 0, NULL, change_no, vector, NULL, NULL
FROM vectors ORDER BY change_no;
DROP TABLE vectors;

-- Immutable Parquet objects with the texts of cold rows. `footer` is the object's own; `digests`
-- are 16 bytes for each row group, over its texts. `retired_at`: no row needs it any more; the
-- object goes when no retained backup names it.
CREATE TABLE cold_files (
    file_no BIGINT PRIMARY KEY,
    key VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    bytes BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    footer BLOB NOT NULL,
    digests BLOB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    retired_at TIMESTAMPTZ
);

-- What was done by no snapshot, to be shipped to the bucket's log.
CREATE TABLE journal (
    entry_no BIGINT PRIMARY KEY,
    happened_at TIMESTAMPTZ NOT NULL,
    kind VARCHAR NOT NULL,
    body VARCHAR NOT NULL
);

CREATE TABLE jobs (
    job_id BIGINT PRIMARY KEY,
    kind VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    done BIGINT NOT NULL,
    total BIGINT,
    detail VARCHAR
);

-- Embedding spaces: `serving` (one at most) or `building`. `model` is JSON: how to open it again.
CREATE TABLE spaces (
    space_id VARCHAR PRIMARY KEY,
    state VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    since TIMESTAMPTZ NOT NULL
);

-- Last, since no index can be made of a table that was changed after it. None of what a merge
-- changes (text_hash): DuckDB could not update such rows in place any more.
CREATE INDEX memories_row_id ON memories (row_id);
CREATE INDEX memories_memory_id ON memories (memory_id);
CREATE INDEX passages_text_hash ON passages (text_hash);
"""

# Who may ask, what was asked before, and what happened.
_THIRD = """
INSERT INTO counters VALUES ('event', 0), ('audit', 0);

-- Of a token only the sha256 of its secret. NULL systems and projects: all.
CREATE TABLE tokens (
    token_id VARCHAR PRIMARY KEY,
    name VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    system_id VARCHAR,
    systems VARCHAR[],
    projects VARCHAR[],
    secret_sha256 VARCHAR NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ
);

-- The answer to a write that came with an idempotency key, so that a retry gets the same.
CREATE TABLE answers (
    caller VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    request_sha256 VARCHAR NOT NULL,
    answer VARCHAR NOT NULL,
    answered_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (caller, key)
);

-- What subscribers are told; the oldest go when there are too many.
CREATE TABLE events (
    event_id BIGINT PRIMARY KEY,
    happened_at TIMESTAMPTZ NOT NULL,
    kind VARCHAR NOT NULL,
    system_id VARCHAR,
    body VARCHAR NOT NULL
);

-- Who did what. `hash` covers the row and the hash of the one before.
CREATE TABLE audit_log (
    entry_no BIGINT PRIMARY KEY,
    happened_at TIMESTAMPTZ NOT NULL,
    actor VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    system_id VARCHAR,
    body VARCHAR NOT NULL,
    hash VARCHAR NOT NULL
);
"""

# The run of posts that has the last place in its system's order, and how many rows it has; NULL
# where another may have it.
_FOURTH = """
ALTER TABLE systems ADD COLUMN run_seq BIGINT;
ALTER TABLE systems ADD COLUMN run_sub BIGINT;
ALTER TABLE systems ADD COLUMN run_rows BIGINT;
"""

# Texts with vectors that a row said and says no more, until it is looked at whether another does.
_SIXTH = """
CREATE TABLE vanished_texts (text_hash VARCHAR NOT NULL);
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND, _THIRD, _FOURTH, SHARED_MEMORIES, _SIXTH)


def migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the attached store to the newest version. Idempotent.

    Raises `StoreTooNew` for a store that a newer recalld wrote, `StoreDamaged` for a database that
    is no store: nothing is written into it.
    """
    _check_ours(connection)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY, applied_at TIMESTAMPTZ)"
    )
    applied = version(connection)
    check_version(applied)
    for number, sql in enumerate(MIGRATIONS[applied:], start=applied + 1):
        connection.execute("BEGIN")
        connection.execute(sql)
        connection.execute("INSERT INTO migrations VALUES (?, current_timestamp)", [number])
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT")


def _check_ours(connection: duckdb.DuckDBPyConnection) -> None:
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
    ).fetchall()
    if tables and ("migrations",) not in tables:
        raise StoreDamaged(
            f"store.duckdb is another program's database, with the table {tables[0][0][:60]!r}",
            hint="move it away, or set RECALLD_DATA_DIR to a folder of recalld's own",
        )


def version(connection: duckdb.DuckDBPyConnection) -> int:
    """The number of the last migration that was applied; 0 for an empty store."""
    rows = connection.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchall()
    return int(rows[0][0])


def check_version(applied: int) -> None:
    """Raises `StoreTooNew` for a store that a newer recalld wrote."""
    if applied > len(MIGRATIONS):
        raise StoreTooNew(
            f"the store has version {applied}, this recalld knows {len(MIGRATIONS)}",
            hint="start the newer recalld that wrote it",
        )
