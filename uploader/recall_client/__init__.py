"""A hub's memories for programs: agents that read, write and share them over HTTP.

`client` and `async_client` what a program uses · `methods/` what can be asked, each call as data ·
`arguments`, `call` what is sent · `identity`, `fences` for whom, and under which lock · `exchange`
how a call is sent, again where it must be, and answered · `retries`, `breaker` how often ·
`answers` what comes back · `wire` the same as httpx says it.

Needs httpx alone, and imports nothing of the other packages.
"""

from recall_client.answers import Answer
from recall_client.async_client import AsyncMemoryClient
from recall_client.client import MemoryClient
from recall_client.fences import Held, LockRefused

__all__ = ["Answer", "AsyncMemoryClient", "Held", "LockRefused", "MemoryClient"]
