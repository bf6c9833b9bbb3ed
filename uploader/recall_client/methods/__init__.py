"""What a client can be asked, by subject; written once for both clients.

`asking` what each stands on · `memories`, `finding` · `relations`, `groups` · `sharing` · `locks`,
`conflicts` · `state` of the hub and of the client itself.
"""

from recall_client.methods.asking import R
from recall_client.methods.conflicts import ConflictMethods
from recall_client.methods.finding import FindingMethods
from recall_client.methods.groups import GroupMethods
from recall_client.methods.locks import LockMethods
from recall_client.methods.memories import MemoryMethods
from recall_client.methods.relations import RelationMethods
from recall_client.methods.sharing import SharingMethods
from recall_client.methods.state import StateMethods


class Methods(
    MemoryMethods[R],
    FindingMethods[R],
    RelationMethods[R],
    GroupMethods[R],
    SharingMethods[R],
    LockMethods[R],
    ConflictMethods[R],
    StateMethods[R],
):
    """All of them. `R`: an answer, or the awaitable of one."""


__all__ = ["Methods", "R"]
