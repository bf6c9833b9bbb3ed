"""The routes by which agents share memories: one module for each subject.

`actor` says for whom a request is made, `keyed` what a retry is known by, `mount` installs all.
"""
