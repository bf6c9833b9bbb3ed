"""What people do to single memories. Forgetting, in the order of its steps:

`criteria` what is to be forgotten · `select` which memories that is · `forget` the rows, the log,
what is told · `purge` the disk, beside everything else · `remains` which objects of the bucket
still hold them · `rewrite` takes them out there: `snapshots` out of snapshots, `erase` out of cold
files and backups · `receipt` what a person gets.
"""
