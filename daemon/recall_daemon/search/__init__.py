"""One fused ranking over the index.

`query` the request, checked, and the answer · `verbatim` whether a text holds the query word for
word · `fuse` candidates' scores into one · `engine` the search itself.
"""
