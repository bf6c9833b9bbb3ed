"""`recalld doctor`: is everything as the hub needs it, and what to do where it is not.

`look` what the checks look at, through the daemon that runs or the store itself · `machine`
settings, data folder, limits · `bucket` what it honours, its clock, the backups in it · `model` ·
`port` who answers there, and whom · `fleet` systems, jobs and the index · `service` · `examine` all
of them, in the order they are shown.
"""
