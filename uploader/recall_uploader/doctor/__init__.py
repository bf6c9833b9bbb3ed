"""`recall doctor`: is everything as an upload needs it, and what to do where it is not.

`finding` what a check says · `look` what the checks look at · `within` groups of checks side by
side, never for longer than a person waits · `machine` settings, state folder, outbox · `sources` ·
`bucket` what it allows, keeps and tells of this system · `reach` how far its credentials go ·
`clock` · `hub` · `helpers` hook and service · `examine` all of them, in the order they are shown.
"""
