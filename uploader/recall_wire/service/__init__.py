"""Services that either program installs: the watch and the upload of an instance, the hub.

`unit_text` paths as systemd reads them, and the mark of a file that nobody edited · `unit_file`
writing and removing files, never somebody's own edit · `supervisor` systemd or launchd, asked
through a command that is passed in · `program` where a command lies that they are to start.
"""
