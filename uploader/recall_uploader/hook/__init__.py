"""A session ends, and what is new of it is uploaded; nobody waits.

In the agent's process, the standard library alone: `session_end` what the agent calls ·
`request` the note it leaves · `detach` the one process that outlives it.
In that process: `worker` one upload for all notes · `log` what came of it.
Installing: `install` what a person asks for · `claude_code` our entry in the agent's settings ·
`json_text` an edit that leaves the rest byte for byte · `settings_file` backup and replacement.
"""
