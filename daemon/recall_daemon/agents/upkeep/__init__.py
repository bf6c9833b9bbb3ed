"""What becomes of memories over time, each part a job of its own.

`promotion` moves what is still important to a slower decay; `consolidation` makes one memory of
several that say related things; `retention` deletes what an agent keeps no longer; `purge` takes
the content of what was deleted long ago; `history` thins out old versions; `reconcile` compares
what is derived with the store and repairs it; `health` looks whether all of this happens. `jobs`
lists them.
"""
