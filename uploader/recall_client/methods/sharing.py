"""What an agent lets others see, and its slice: what it sees itself."""

from __future__ import annotations

from collections.abc import Sequence

from recall_client.arguments import given, segment, whole
from recall_client.call import Call, delete, get, post
from recall_client.methods.asking import Asking, R

ROOT = "/v1/shares"


class SharingMethods(Asking[R]):
    def share_with_agents(
        self,
        memory_id: str,
        agents: str | Sequence[str],
        permission: str = "read",
        expires_in_s: float | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> R:
        """→ share_ids. A live grant, no copy; `permission`: read, write."""
        return self._ask(
            lambda: post(
                ROOT,
                given(
                    memory_id=memory_id,
                    agents=agents,
                    permission=permission,
                    expires_in_s=expires_in_s,
                ),
                idempotency_key,
            )
        )

    def revoke_share(self, share_id: int, *, idempotency_key: str | None = None) -> R:
        """Takes effect at the next read."""
        number = share_id
        return self._ask(lambda: delete(f"{ROOT}/{whole('share_id', number)}", key=idempotency_key))

    def list_shares(
        self, memory_id: str | None = None, limit: int | None = None, before: int | None = None
    ) -> R:
        """→ shares, next_before: the live grants of a memory, or of this client's agent."""
        return self._ask(lambda: get(ROOT, given(memory_id=memory_id, limit=limit, before=before)))

    def list_agents(self) -> R:
        """→ agents, as the hub's settings have them."""
        return self._ask(lambda: get("/v1/agents"))

    def get_agent_memory_slice(
        self, agent_id: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> R:
        """→ agent_id, memory_slice [{memory, sync_metadata}], statistics, next_cursor.

        None: this client's agent.
        """
        return self._ask(lambda: self._of_agent(agent_id, "slice", limit=limit, cursor=cursor))

    def get_memory_allocation(self, agent_id: str | None = None) -> R:
        """→ the agent's memories, counted and in measured bytes. None: this client's agent."""
        return self._ask(lambda: self._of_agent(agent_id, "allocation"))

    def _of_agent(self, agent_id: str | None, what: str, **query: object) -> Call:
        name = self.identity.agent_id if agent_id is None else agent_id
        return get(f"/v1/agents/{segment('agent_id', name)}/{what}", given(**query))
