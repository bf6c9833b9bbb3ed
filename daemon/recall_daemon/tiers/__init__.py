"""Rows age: hot to warm to cold, without losing a word.

`summary` what a row shows without its text · `cold_object` the bytes of a cold file · `cold_store`
puts one into the bucket and proves that it is there · `ageing` moves rows down · `compaction`
merges small files and rewrites those with many dead rows · `sweep` deletes objects that nothing
needs · `cache` row groups on disk · `groups` fetches row groups by range · `fetch` gives cold rows
their texts · `tiers` all of it as the daemon and the commands use it.
"""
