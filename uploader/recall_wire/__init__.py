"""The contract between instances and hub, in the order one should read it.

`errors` what can go wrong · `layout` every key in the bucket · `manifest` the commit marker, the
head and the ack · `records` one memory, as Arrow · `formats` how a memory database on disk becomes
records · `buckets` S3 and local folders behind one interface · `settings` how both programs read
theirs · `service` how they install themselves · `doctor` what their doctors share · `exits` how
they end · `sizes` for people.

Imports nothing of the other packages.
"""
