"""From the bucket into the store, in the order the data passes.

`poll` who has news · `fetch` a snapshot's objects into the spool, checked · `validate` read by a
child process (`reader_child`) · `merge` rows and ledger · `setbacks` what did not get through ·
`quarantine` what could not be read · `spool` where snapshots lie meanwhile ·
`staging` and `pushed` snapshots that are pushed to the hub, `receive` what makes them the same as
those from the bucket, `compare` whether they are · `ack` what an instance is told · `gaps` numbers
that are missing · `pipeline` the one module that knows this order.
"""
