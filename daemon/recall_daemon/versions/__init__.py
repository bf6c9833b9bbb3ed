"""Versions of a memory weighed against each other: pure functions, without a store.

What is served is a function of the set of versions alone, so that the order in which they arrive
changes nothing.
"""
