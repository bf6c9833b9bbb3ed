"""The manifest (a snapshot's commit marker), the head that points at it, and the hub's ack."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from recall_wire import layout
from recall_wire.errors import ManifestInvalid, UnsafeKey

FORMAT: Final = "recall-snapshot"
VERSION: Final = 1
SNAPSHOT_MAX_ROWS = 50_000
MANIFEST_MAX_BYTES = 1 << 20
HEAD_MAX_BYTES = 4096

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=10**12)]
Name = Annotated[str, Field(max_length=200)]
_Model = TypeVar("_Model", bound=BaseModel)


class _Wire(BaseModel):
    """Unknown keys are refused on write; `parse_*` tolerates them within a major version."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Producer(_Wire):
    name: Name
    version: Name


class Source(_Wire):
    type: Name
    fingerprint: Name


class EmbeddingSpace(_Wire):
    """Vectors are only ever compared inside one of these."""

    model: Name
    revision: Name
    dim: Annotated[int, Field(ge=1, le=8192)]
    normalized: bool

    @property
    def space_id(self) -> str:
        suffix = "" if self.normalized else ":raw"
        return f"{self.model}@{self.revision}:{self.dim}{suffix}"


class DataFile(_Wire):
    """One data object. `rows` is None where only the reader can tell (a raw DuckDB file)."""

    name: str
    format: Literal["parquet", "duckdb", "duckdb-wal"]
    bytes: Count
    sha256: Sha256
    rows: Count | None = None
    min_time: AwareDatetime | None = None
    max_time: AwareDatetime | None = None


class Manifest(_Wire):
    """A snapshot exists when this object does. See docs/contract.md for every field."""

    format: Literal["recall-snapshot"] = FORMAT
    version: Literal[1] = VERSION
    system_id: str
    seq: Annotated[int, Field(ge=1, le=layout.SEQ_MAX)]
    machine: Name
    instance_id: Name
    created_at: AwareDatetime
    producer: Producer
    kind: Literal["delta", "full", "void"]
    source: Source
    files: tuple[DataFile, ...] = Field(default=(), max_length=16)
    rows: Count = 0
    deletes: Count = 0
    redacted: Count = 0
    encryption: dict[str, object] | None = None
    embedding: EmbeddingSpace | None = None
    watermark: str | None = Field(default=None, max_length=10_000)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            layout.check_system_id(self.system_id)
            for file in self.files:
                layout.check_file_name(file.name)
        except UnsafeKey as error:
            raise ValueError(str(error)) from error
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError("two files have one name")
        if any(file.sha256[:16] not in file.name for file in self.files):
            raise ValueError("a file's name does not carry the first 16 digits of its sha256")
        if self.kind == "void" and self.files:
            raise ValueError("a void snapshot has files")
        if self.kind != "void" and not self.files:
            raise ValueError("there are no files")
        if self.parquet_rows > SNAPSHOT_MAX_ROWS:
            raise ValueError(
                f"{self.parquet_rows} rows are more than {SNAPSHOT_MAX_ROWS} a snapshot may hold"
            )
        return self

    @property
    def parquet_rows(self) -> int:
        return sum(file.rows or 0 for file in self.files if file.format == "parquet")

    @property
    def data_bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def to_bytes(self) -> bytes:
        """Canonical JSON: the same manifest always gives the same bytes."""
        return _canonical(self)


class Head(_Wire):
    """`heads/<system_id>`: the newest snapshot, so that one LIST tells who has news."""

    seq: Annotated[int, Field(ge=1, le=layout.SEQ_MAX)]
    manifest_sha256: Sha256
    machine: Name

    def to_bytes(self) -> bytes:
        return _canonical(self)


class QuarantinedSeq(_Wire):
    seq: int
    reason: Annotated[str, Field(max_length=1000)]


class Ack(_Wire):
    """`acks/<system_id>`: what the hub has of a system. `missing` holds inclusive ranges."""

    complete_to: Count
    missing: tuple[tuple[int, int], ...] = ()
    quarantined: tuple[QuarantinedSeq, ...] = ()

    def to_bytes(self) -> bytes:
        return _canonical(self)


def parse_manifest(data: bytes, *, system_id: str, seq: int) -> Manifest:
    """Read a manifest found at `systems/<system_id>/snapshots/<seq>/manifest.json`.

    Unknown keys are tolerated. Raises `ManifestInvalid` where the bytes break the contract or
    name another place than the one they lie in.
    """
    manifest = _parse(Manifest, data, MANIFEST_MAX_BYTES, f"manifest {seq} of {system_id}")
    if (manifest.system_id, manifest.seq) != (system_id, seq):
        raise ManifestInvalid(
            f"manifest {seq} of {system_id} says it is "
            f"manifest {manifest.seq} of {manifest.system_id}"
        )
    return manifest


def parse_head(data: bytes, *, system_id: str) -> Head:
    """Read `heads/<system_id>`. Raises `ManifestInvalid`."""
    return _parse(Head, data, HEAD_MAX_BYTES, f"head of {system_id}")


def parse_ack(data: bytes, *, system_id: str) -> Ack:
    """Read `acks/<system_id>`. Raises `ManifestInvalid`."""
    return _parse(Ack, data, MANIFEST_MAX_BYTES, f"ack of {system_id}")


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def now_utc() -> datetime:
    return datetime.now(UTC)


def _canonical(model: BaseModel) -> bytes:
    payload = model.model_dump(mode="json")
    return json.dumps(payload, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _parse(model: type[_Model], data: bytes, limit: int, what: str) -> _Model:
    if len(data) > limit:
        raise ManifestInvalid(f"{what} is {len(data)} bytes, more than {limit}")
    try:
        return model.model_validate_json(data, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
        raise ManifestInvalid(f"{what} is not valid: {reason}") from error
