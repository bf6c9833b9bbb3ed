"""The fifth migration: what memories have that several agents share."""

from __future__ import annotations

# Memories that several agents write. Whatever writes a table here, but for the locks and the
# leases, notes it in the journal, too, so that a restore brings it back.
SHARED_MEMORIES = """
INSERT INTO counters VALUES
    ('fence', 0), ('ticket', 0), ('deletion', 0), ('share', 0), ('relationship', 0), ('group', 0),
    ('grants', 0);

-- Versions of memories. `version_id` covers `parents` and `content_hash`, so it is the same in
-- whatever order they arrive. A memory without a row here has one version, its own content's.
-- kind: home (what its own system says; seq, sub, row_no are its place there), edit, merge,
-- resolution. `record` is the content as JSON; NULL: purged, or never here. `withdrawn`: a
-- resolution that was undone; `cut`: the parent that it no longer stands for.
CREATE TABLE memory_versions (
    system_id VARCHAR NOT NULL,
    memory_id VARCHAR NOT NULL,
    version_id VARCHAR NOT NULL,
    parents VARCHAR[] NOT NULL,
    kind VARCHAR NOT NULL,
    content_hash VARCHAR NOT NULL,
    record VARCHAR,
    author VARCHAR,
    agent_id VARCHAR,
    priority INTEGER NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    seq BIGINT,
    sub BIGINT,
    row_no BIGINT,
    withdrawn BOOLEAN NOT NULL,
    cut VARCHAR,
    PRIMARY KEY (system_id, memory_id, version_id)
);

-- What a memory has beside its content. `head`: the version that is served, of a memory whose
-- versions are weighed against each other; NULL: what its system said last. `memory_tier` short,
-- medium, long; NULL: it does not decay. `deletion_id`: it is deleted, and by what.
CREATE TABLE lives (
    system_id VARCHAR NOT NULL,
    memory_id VARCHAR NOT NULL,
    head VARCHAR,
    memory_tier VARCHAR,
    anchor_importance FLOAT,
    anchored_at TIMESTAMPTZ,
    pinned BOOLEAN NOT NULL,
    deletion_id BIGINT,
    PRIMARY KEY (system_id, memory_id)
);

-- Two versions that say different things. state: open, resolved, superseded. `manual`: it was
-- resolved before and that was undone, so only a person or an explicit call resolves it.
CREATE TABLE conflicts (
    conflict_id VARCHAR PRIMARY KEY,
    system_id VARCHAR NOT NULL,
    memory_id VARCHAR NOT NULL,
    base VARCHAR,
    ours VARCHAR NOT NULL,
    theirs VARCHAR NOT NULL,
    fields VARCHAR[] NOT NULL,
    state VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    winner VARCHAR,
    resolution VARCHAR,
    manual BOOLEAN NOT NULL,
    detected_at TIMESTAMPTZ NOT NULL,
    resolved_at TIMESTAMPTZ,
    resolved_by VARCHAR
);

-- What one act deleted. `members` is JSON: [{system_id, memory_id, …}]. reason: asked, retention.
CREATE TABLE deletions (
    deletion_id BIGINT PRIMARY KEY,
    system_id VARCHAR NOT NULL,
    memory_id VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    detail VARCHAR,
    actor VARCHAR NOT NULL,
    deleted_at TIMESTAMPTZ NOT NULL,
    members VARCHAR NOT NULL,
    undone_at TIMESTAMPTZ,
    purged_at TIMESTAMPTZ
);

-- Leases. The row stays when the lock goes: its fence is the last that was ever given.
CREATE TABLE locks (
    system_id VARCHAR NOT NULL,
    memory_id VARCHAR NOT NULL,
    fence BIGINT NOT NULL,
    holder VARCHAR,
    depth INTEGER NOT NULL,
    acquired_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ,
    PRIMARY KEY (system_id, memory_id)
);
CREATE TABLE lock_waiters (
    ticket BIGINT PRIMARY KEY,
    system_id VARCHAR NOT NULL,
    memory_id VARCHAR NOT NULL,
    holder VARCHAR NOT NULL,
    waits_until TIMESTAMPTZ NOT NULL
);

-- Who else may see (read) or change (write) one memory. grantee_kind: agent, system.
CREATE TABLE memory_shares (
    share_id BIGINT PRIMARY KEY,
    system_id VARCHAR NOT NULL,
    memory_id VARCHAR NOT NULL,
    grantee_kind VARCHAR NOT NULL,
    grantee VARCHAR NOT NULL,
    permission VARCHAR NOT NULL,
    granted_by VARCHAR NOT NULL,
    granted_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ
);

-- Live rules: what one agent (NULL: any) writes with a category or a tag, others see, too.
CREATE TABLE share_rules (
    rule_id BIGINT PRIMARY KEY,
    source_agent VARCHAR,
    category VARCHAR,
    tag VARCHAR,
    targets VARCHAR[] NOT NULL,
    made_by VARCHAR NOT NULL,
    made_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ
);

CREATE TABLE agent_sessions (
    session_id VARCHAR PRIMARY KEY,
    agent_id VARCHAR,
    user_id VARCHAR,
    metadata VARCHAR NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE relationships (
    relationship_id BIGINT PRIMARY KEY,
    from_system VARCHAR NOT NULL,
    from_id VARCHAR NOT NULL,
    to_system VARCHAR NOT NULL,
    to_id VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    strength FLOAT NOT NULL,
    made_by VARCHAR NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

-- `system_id`: where whoever made it writes; who may not read that system sees no group of it.
CREATE TABLE context_groups (
    group_id BIGINT PRIMARY KEY,
    system_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    description VARCHAR,
    agent_id VARCHAR,
    user_id VARCHAR,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE group_members (
    group_id BIGINT NOT NULL,
    system_id VARCHAR NOT NULL,
    memory_id VARCHAR NOT NULL,
    position BIGINT NOT NULL,
    added_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (group_id, system_id, memory_id)
);

-- Who runs a kind of job until when.
CREATE TABLE leases (
    name VARCHAR PRIMARY KEY,
    holder VARCHAR NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

-- A key of several columns finds no row by itself.
CREATE INDEX memory_versions_memory_id ON memory_versions (memory_id);
CREATE INDEX lives_memory_id ON lives (memory_id);
CREATE INDEX conflicts_memory_id ON conflicts (memory_id);
CREATE INDEX memory_shares_memory_id ON memory_shares (memory_id);
CREATE INDEX locks_memory_id ON locks (memory_id);
CREATE INDEX relationships_from_id ON relationships (from_id);
CREATE INDEX relationships_to_id ON relationships (to_id);
CREATE INDEX group_members_memory_id ON group_members (memory_id);

-- Tokens that speak for one agent, one user.
ALTER TABLE tokens ADD COLUMN agent_id VARCHAR;
ALTER TABLE tokens ADD COLUMN user_id VARCHAR;
"""
