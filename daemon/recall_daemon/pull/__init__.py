"""Memories fetched from instances over HTTP, for those that cannot reach a bucket.

`instances` says whom to ask and with which token, `ask` what; `client` asks, by `mcp_call` or by
`plain_call`, through a `bounded` transport; `answer` and `for_people` make memories of what came,
`memories` records of those; `known` is what the hub remembers of an instance, `embedding` waits for
vectors; `sync` is the whole, `outcome` what came of it, `job` its clock.
"""
