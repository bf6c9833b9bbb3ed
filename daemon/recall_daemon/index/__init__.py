"""The in-memory index, derived from the store and remade from it at any time.

`feed` what the store gives · `filters` what a search may be narrowed to · `growable` arrays that
readers can keep while the writer appends · `columns` the filterable fields of every row ·
`vectors` one vector per distinct text · `analysis` how text becomes terms · `words` BM25 ·
`view` one consistent snapshot that searches read · `follower` applies the store's changes.
"""
