"""The ways a snapshot reaches the hub, in the order they are tried.

`base` what a way is · `cloud` into the bucket · `push` to the hub over HTTP, by way of `hub`, its
client · `batches` a snapshot as batches of memories · `breaker` leaves a way that fails alone for
a while · `choose` which ways the settings allow.
"""
