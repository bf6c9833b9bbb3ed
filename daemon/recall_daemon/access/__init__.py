"""Who may ask the hub for what: tokens, and what each lets its holder see and do.

`caller` says what one may; `tokens` makes, lists, revokes and recognises them.
"""
