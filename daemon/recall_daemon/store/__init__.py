"""The store: one DuckDB file, and the only room in which SQL is written.

`schema` the tables and their migrations · `store` opening, the one writer, readers · `ledger` what
became of each snapshot · `merge` rows into memories, with the ledger in one transaction · `forget`
rows that never come back · `journal` what was done by no snapshot · `memories` reading rows ·
`vectors` embeddings, `pending` texts that lack them, `vanished` those that no row says any more ·
`jobs` what became of background work · `copy` a consistent copy in a file of its own · `audit` the
logical hash and the checks behind `recalld verify`.
"""
