"""The hub for agents: `shapes` what the tools answer · `tool` one tool, and all of them ·
`words` answers as short text · `reading` and `writing` the tools · `server` as MCP · `plain` as
the posts that instances send without MCP · `mount` both in the hub's app.
"""
