"""The index, derived from the store and made anew from it at any time.

`feed` what the store gives · `filters` what a search may be narrowed to · `seen` whose memories may
be seen · `fields` what a hit shows of them · `durable` files that are whole or not there ·
`growable` arrays that readers can keep while the writer appends · `slots` a number for each
distinct text · `columns`, `columns_view`, `grouped` the filterable fields of each row, in memory ·
`vectors`, `vectors_view` the passages of a space: a `segment` on disk and a tail in memory, their
`codes` · `sealing` makes the next segment of both · `spaces` has it made, and swaps · `analysis`
how text becomes terms · `documents`, `words`, `words_view`, `words_seen`, `words_folder` BM25 on
disk · `cold_words` those of rows whose texts lie in the bucket · `selection` the rows that a filter
leaves · `view` one consistent snapshot that searches read · `state` takes changes in · `follower`
opens, follows, rebuilds · `interruptible` what a close need not wait for · `health` what is not as
it should be.
"""
