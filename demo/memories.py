"""Three systems' memories for the demo: what coding agents on three machines might have learnt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """One conversation row of a Session-Buddy database."""

    content: str
    project: str
    session_id: str


@dataclass(frozen=True)
class Lesson:
    """One reflection row."""

    content: str
    project: str
    tags: tuple[str, ...]


LAPTOP = (
    Turn(
        "The nightly import failed with 'Could not set lock on file': the editor plugin kept the "
        "DuckDB file open read-write. Copying the file and its .wal before reading fixed it.",
        "warehouse",
        "laptop-mon",
    ),
    Turn(
        "Asked how to speed up the monthly revenue report. EXPLAIN showed a sequential scan over "
        "40 million orders; a partial index on created_at brought it from 90 s to 2 s.",
        "warehouse",
        "laptop-mon",
    ),
    Turn(
        "Decided to keep money as integer cents everywhere; floats lost a cent in 1 of 900 "
        "invoices when VAT was split over several lines.",
        "billing",
        "laptop-tue",
    ),
    Lesson(
        "Always run CHECKPOINT before copying a DuckDB file to another machine.",
        "warehouse",
        ("duckdb", "backup"),
    ),
)

BUILD_SERVER = (
    Turn(
        "test_scheduler_backoff failed once in forty runs. It slept for real and compared clocks; "
        "injecting a fake clock made it deterministic.",
        "scheduler",
        "ci-1181",
    ),
    Turn(
        "The container image grew to 2.3 GB because the CUDA build of torch was pulled in. Pinning "
        "the CPU wheel brought it down to 640 MB.",
        "scheduler",
        "ci-1182",
    ),
    Turn(
        "Kafka consumer lag climbed to 1.2 million messages after max.poll.records=5000 was set: "
        "each batch took longer than max.poll.interval.ms, so the group rebalanced for ever.",
        "events",
        "ci-1190",
    ),
    Lesson(
        "A test that passes when run alone and fails in the suite usually shares a temporary "
        "directory or an environment variable with another test.",
        "scheduler",
        ("testing", "flaky"),
    ),
)

WORKSTATION = (
    Turn(
        "Users were logged out every hour although the refresh token was valid for a month. The "
        "mobile client sent the old token after rotation; reuse detection then revoked the family.",
        "accounts-api",
        "ws-login",
    ),
    Turn(
        "Moved the signing key into the hardware vault. Key rotation now needs two approvals and "
        "takes effect for new sessions within five minutes.",
        "accounts-api",
        "ws-keys",
    ),
    Turn(
        "The hydration mismatch on the dashboard came from formatting dates in the server's time "
        "zone. Rendering them in an effect on the client removed the warning.",
        "dashboard",
        "ws-ui",
    ),
    Lesson(
        "Never log the Authorization header; the debug logger had printed bearer tokens for weeks.",
        "accounts-api",
        ("security", "logging"),
    ),
)

SYSTEMS = {"laptop": LAPTOP, "build-server": BUILD_SERVER, "workstation": WORKSTATION}

# No word of the first two is in the memory that answers it; the third is a search by words.
SEARCHES = (
    "why do people keep getting signed out of the app",
    "unreliable checks in continuous integration",
    "max.poll.records",
)
