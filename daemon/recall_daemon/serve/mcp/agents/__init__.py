"""The tools by which agents share memories, at an endpoint of their own.

`asked` says for whom a call is made and what a retry is known by; `memories`, `relating`,
`sharing`, `conflicts` and `locking` are the tools by subject, `shapes` what they answer, `words`
the same for models; `tools` puts them together.
"""
