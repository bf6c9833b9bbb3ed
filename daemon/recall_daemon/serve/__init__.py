"""The hub's port, in the order a request passes.

`connections` ends what dawdles · `observed` gives it an id, counts and logs it · `guard` keeps web
pages and floods out · `gate` who it is, and how often · `who` what routes ask of them · `routes`
and the modules of its subjects · `mcp` and `dashboard` the same for agents and people · `problem`
errors as RFC 9457 · `server` binding and running it.
"""
