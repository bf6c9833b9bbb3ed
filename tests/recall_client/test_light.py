"""The client costs a program nothing but httpx."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "duckdb", "pyarrow", "numpy", "pydantic", "boto3", "fastapi", "mcp")


def test_a_fresh_interpreter_loads_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys\n"
        "from recall_client import MemoryClient, AsyncMemoryClient\n"
        "MemoryClient('http://127.0.0.1:1').close(); AsyncMemoryClient('http://127.0.0.1:1')\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "httpx" in loaded
    assert loaded & {*HEAVY, "recall_wire", "recall_uploader", "recall_daemon"} == set()
