"""What a run did, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from recall_wire.manifest import Manifest

Status = Literal["committed", "unchanged", "pushed", "queued", "planned"]
Method = Literal["cloud", "http", "none"]


@dataclass(frozen=True, slots=True)
class UploadResult:
    """`seq` is the highest snapshot, None where there is none. `rows` counts every record, of
    which `deletes` are deletes and forgets; a raw file's rows are not counted.

    `planned` is the status of a dry run that would send something; `queued` counts what waits
    now; `pushed`, with the method `http`, what the hub took over HTTP. `redacted` counts secrets
    that were replaced.
    """

    status: Status
    method: Method
    system_id: str
    seq: int | None
    rows: int
    deletes: int
    bytes: int
    skipped: int = 0
    redacted: int = 0
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The JSON object of `recall upload --json`: the names scripts rely on come first."""
        return asdict(self)


def result_of(
    status: Status,
    method: Method,
    system_id: str,
    manifests: Sequence[Manifest],
    *,
    skipped: int = 0,
    warnings: Sequence[str] = (),
) -> UploadResult:
    return UploadResult(
        status=status,
        method=method,
        system_id=system_id,
        seq=max((manifest.seq for manifest in manifests), default=None),
        rows=sum(manifest.rows for manifest in manifests),
        deletes=sum(manifest.deletes for manifest in manifests),
        bytes=sum(manifest.data_bytes for manifest in manifests),
        skipped=skipped,
        redacted=sum(manifest.redacted for manifest in manifests),
        warnings=tuple(warnings),
    )
