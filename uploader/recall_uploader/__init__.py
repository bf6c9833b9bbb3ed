"""The instance side, in the order the data passes.

`cli` and `commands/` what a person types · `settings`, `machine`, `app` who this instance is and
its parts · `run`, `lock` one run at a time over the state folder · `state` what was spooled and
delivered · `recover` after a crash · `source_copy` a stable copy of a live database · `extract`,
`fit`, `diff`, `deletes` which rows to send · `spool`, `snapshot_file` from rows to numbered
snapshots · `outbox`, `durable` where they wait · `deliver`, `identity`, `ship`, `retry` into the
bucket · `result` what a run says it did · `upload`, `forget`, `init` the commands' work, and
`progress` its bar.
"""
