"""The watch and the hourly upload as services of the user.

`units` what the files say · `unit_file` writing and removing them, never somebody's own edit ·
`supervisor` systemd or launchd, asked through a command that is passed in.
"""
