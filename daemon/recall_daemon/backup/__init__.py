"""The hub's own record in the bucket: log, backups, and the way back from them.

`owner` which data folder writes under a hub id · `log` the journal into the bucket, as
`log_objects` · `manifest` what a backup says of itself · `shelf` the backups in the bucket ·
`retention` which of them stay · `backup` making one · `expiry` snapshots that need not stay in
`systems/` · `moment` the bucket as it was at a time · `replay` the log into a store · `restore` an
empty data folder made whole again.

All of it blocks: it runs in threads, with a blocking bucket, whose multipart upload streams.
"""
