"""OpenStack swift with s3api, on loopback: a second S3 server, by other authors, for `make soak`.

One replica of everything in a temporary folder (its file system must carry extended attributes).
Unlike moto it checks signatures; its If-None-Match is not atomic, and If-Match answers 501.
"""

from __future__ import annotations

import getpass
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ACCESS_KEY = "test:tester"
SECRET_KEY = "testing"
_READY_S = 60
_BACKENDS = ("account", "container", "object")
# set_swift_dir must come first: the storage policies are read when the server is imported.
_LAUNCH = (
    "import sys; from swift.common.utils import set_swift_dir; set_swift_dir(sys.argv.pop(1)); "
    "from swift.{module}.server import main; main()"
)

# In a process of its own: importing swift changes logging and threading for good.
_RING = """
import sys
from swift.common.ring import RingBuilder
builder = RingBuilder(4, 1, 0)
node = {"ip": "127.0.0.1", "port": int(sys.argv[2]), "device": "d1"}
builder.add_dev({"region": 1, "zone": 1, "weight": 1, **node})
builder.rebalance()
builder.get_ring().save(sys.argv[1])
"""
_BACKEND_CONF = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {home}
devices = {home}/devices
mount_check = false
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_PROXY_CONF = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {home}
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats s3api tempauth slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""
_SWIFT_CONF = """[swift-hash]
swift_hash_path_suffix = recalld
swift_hash_path_prefix = recalld
[storage-policy:0]
name = Policy-0
default = yes
"""


@contextmanager
def swift_server(home: Path) -> Iterator[str]:
    """Run swift under `home` and yield the S3 endpoint's URL."""
    ports = dict(zip((*_BACKENDS, "proxy"), _free_ports(4), strict=True))
    _configure(home, ports)
    with ExitStack() as servers:
        for kind in (*_BACKENDS, "proxy"):
            servers.enter_context(_running(home, kind))
        url = f"http://127.0.0.1:{ports['proxy']}"
        _wait_for(f"{url}/healthcheck", home)
        for kind in _BACKENDS:
            _wait_for(f"http://127.0.0.1:{ports[kind]}/recon/none", home)
        yield url


def _configure(home: Path, ports: dict[str, int]) -> None:
    (home / "devices" / "d1").mkdir(parents=True)
    (home / "swift.conf").write_text(_SWIFT_CONF)
    for kind in _BACKENDS:
        ring = str(home / f"{kind}.ring.gz")
        subprocess.run([sys.executable, "-c", _RING, ring, str(ports[kind])], check=True)
    for kind, port in ports.items():
        text = _PROXY_CONF if kind == "proxy" else _BACKEND_CONF
        conf = text.format(port=port, kind=kind, home=home, user=getpass.getuser())
        (home / f"{kind}.conf").write_text(conf)


@contextmanager
def _running(home: Path, kind: str) -> Iterator[None]:
    code = _LAUNCH.format(module={"object": "obj"}.get(kind, kind))
    command = [sys.executable, "-c", code, str(home), str(home / f"{kind}.conf")]
    with (home / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(url: str, home: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError as error:
            error.close()  # it answers: it is up
            return
        except OSError:
            time.sleep(0.1)
    logs = {path.name: path.read_text()[-2000:] for path in home.glob("*.log")}
    raise TimeoutError(f"swift did not come up: {logs}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
