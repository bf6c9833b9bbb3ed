"""Memories fetched from instances over HTTP, for those that cannot reach a bucket.

`instances` says whom to ask and with which token; `client` asks, by `mcp_call` or by `plain_call`,
through a `bounded` transport; `answer` and `for_people` make memories of what came, `memories`
records of those; `known` is what the hub remembers of an instance; `sync` is the whole, `job` its
clock.
"""
