"""What routes, tools, commands and the dashboard have of the agents' side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from recall_daemon.agents.config import Agents
from recall_daemon.agents.deletion import Deleting
from recall_daemon.agents.editing import Editing
from recall_daemon.agents.far import FarRecords
from recall_daemon.agents.fate import Fates
from recall_daemon.agents.groups import Groups
from recall_daemon.agents.locks import Locks
from recall_daemon.agents.memories import SharedMemories
from recall_daemon.agents.naming import Naming
from recall_daemon.agents.reinforce import Reinforcing
from recall_daemon.agents.relations import Relations
from recall_daemon.agents.review import Review
from recall_daemon.agents.sessions import Sessions
from recall_daemon.agents.share_rules import ShareRules
from recall_daemon.agents.sharing import Sharing
from recall_daemon.agents.showing import Showing
from recall_daemon.agents.sight import Grants
from recall_daemon.agents.slices import Slices
from recall_daemon.agents.statistics import Statistics
from recall_daemon.memory.posts import Posts
from recall_daemon.search.engine import Search
from recall_daemon.settings import HubSettings
from recall_daemon.store.store import Store
from recall_daemon.tiers.fetch import ColdTexts


@dataclass(frozen=True)
class Parts:
    """What the services are made of. `on_changed` is told after each commit that changes memories,
    but for posts."""

    store: Store
    posts: Posts
    far: ColdTexts
    agents: Agents
    grants: Grants
    search: Search
    settings: HubSettings
    on_changed: Callable[[], None]
    now: Callable[[], datetime]


@dataclass(frozen=True)
class Shared:
    """The services of memories that several agents share, one field each."""

    agents: Agents
    naming: Naming
    memories: SharedMemories
    sharing: Sharing
    share_rules: ShareRules
    slices: Slices
    statistics: Statistics
    relations: Relations
    groups: Groups
    sessions: Sessions
    locks: Locks
    reinforcing: Reinforcing
    editing: Editing
    review: Review
    deleting: Deleting
    fates: Fates


def make_shared(parts: Parts) -> Shared:
    naming = Naming(parts.grants, parts.settings.agents_system)
    showing = Showing(parts.far)
    memories = SharedMemories(
        parts.store,
        parts.posts,
        naming,
        showing,
        parts.grants,
        agents=parts.agents,
        now=parts.now,
    )
    store, now = parts.store, parts.now
    far = FarRecords(store, naming, parts.far)
    keep = timedelta(seconds=parts.settings.deleted_keep_s)
    return Shared(
        agents=parts.agents,
        naming=naming,
        memories=memories,
        sharing=Sharing(store, naming, now=now),
        share_rules=ShareRules(store, now=now),
        slices=Slices(store, parts.search, naming, memories, parts.grants, now=now),
        statistics=Statistics(store, parts.agents, parts.grants, now=now),
        relations=Relations(store, naming, memories, now=now),
        groups=Groups(store, naming, memories, now=now),
        sessions=Sessions(store, naming, now=now),
        editing=Editing(store, naming, parts.agents, far, on_changed=parts.on_changed, now=now),
        review=Review(
            store,
            naming,
            parts.agents,
            note=memories.note,
            on_changed=parts.on_changed,
            now=now,
        ),
        deleting=Deleting(
            store, naming, parts.agents, far, keep=keep, on_changed=parts.on_changed, now=now
        ),
        fates=Fates(store, naming, keep=keep),
        locks=Locks(store, naming, now=now),
        reinforcing=Reinforcing(store, naming, now=now),
    )
