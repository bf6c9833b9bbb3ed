"""What people do to single memories. Forgetting, in the order of its steps:

`criteria` what is to be forgotten · `select` which memories that is · `forget` the rows, the log,
the disk · `remains` which objects of the bucket still hold them · `snapshots` takes them out of the
snapshots there · `erase` out of cold files and backups.
"""
