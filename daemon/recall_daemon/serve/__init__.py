"""The hub's port: `guard` keeps web pages and floods out · `problem` errors as RFC 9457 ·
`routes` what can be asked · `server` binding and running it.
"""
