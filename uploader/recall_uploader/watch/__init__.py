"""`recall watch`: uploads when a source changes.

`targets` which files and folders that is · `watcher` wakes up at their changes · `loop` what is
done then.
"""
