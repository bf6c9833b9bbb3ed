"""What an instance can read memories from, in the order an opening passes it.

`settings` an entry of `sources:` · `find` the known places · `opening` one source, opened ·
`detect` what a path holds · `key` a source's name · `frozen` a folder's files as they were at one
moment · `transcripts`, `transcript_file`, `transcript_entry`, `written` Claude Code's sessions ·
`stamps` which of them need no reading · `mapping`, `mapped`, `sqlite_copy` any table of a DuckDB
or SQLite file · `markdown`, `front_matter` folders of notes.
"""
