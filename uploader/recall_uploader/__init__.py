"""The instance side, in the order the data passes.

`entry` the console script · `cli` and `commands/` what a person types · `settings`
(`session_buddy_settings`, `config_file`), `machine`, `app` who this instance is and its parts ·
`hook/`, `watch/`, `service/` what starts a run without a person, `everything` what it then does ·
`run`, `lock`, `deadline`, `allowance` one run at a time over the state folder, and for how long ·
`state`, `state_file` what was spooled and delivered · `recover` after a crash · `acks`,
`state_resends` what the hub could not take · `sources/`, `source_copy` what is read, as it was at
one moment · `redact/` without its secrets · `extract`, `fit`, `diff`, `deletes` which rows to send
· `spool`, `snapshot_file` from rows to numbered snapshots · `outbox`, `durable`, `aging` where they
wait · `deliver`, `methods/` by which way · `identity`, `ship`, `stored`, `retry` into the bucket ·
`result` what a run says it did · `upload`, `forget`, `init`, `outbox_run` the commands' work,
`progress` its bar, `questions`, `places`, `status`, `hub_said`, `doctor/`, `sizes`, `program` what
people ask (`within` a bounded time).
"""
