"""The watch and the hourly upload as services of the user.

`units` what the files say · `supervisor` which of them systemd or launchd is told to run.
"""
