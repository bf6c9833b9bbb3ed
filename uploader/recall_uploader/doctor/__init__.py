"""`recall doctor`: is everything as an upload needs it, and what to do where it is not.

`look` what the checks look at · `machine` settings, state folder, outbox · `sources` · `bucket`
what it allows, keeps and tells of this system · `reach` how far its credentials go · `hub` ·
`starters` hook and service · `examine` all of them, in the order they are shown.
"""
