"""The hub as a service: what it tells systemd, what it is started by, and settings that change
while it runs.

`notify` the words to systemd · `heartbeat` the watchdog's proof that the hub lives · `reload`
which settings take effect at SIGHUP · `units` the unit and the property list · `environment` the
file with what must not stand in them · `install` where they go, and who is told.
"""
