"""One fused ranking over the index.

`query` the request, checked · `asked` what its words ask for · `query_vectors` its vector · `pool`
the rows that may answer · `exact`, `verbatim` those that hold it as it stands · `fuse` words and
meaning into one score · `rank` the order · `fold` rows that say the same · `listing` the ranking as
far as pages were asked for · `page`, `passages`, `explain` the hits of a page · `answer` their
shapes · `engine` the search itself.
"""
