"""Memories that several agents share: who they are, what each may see, and how they write.

An agent is a name in the settings, an act is one transaction, and what it changes beside the memory
itself lies in the side tables of the store.
"""
