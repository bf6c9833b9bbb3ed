"""One file per command: its arguments, and how its result is printed."""
