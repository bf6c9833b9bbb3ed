"""The hub's web pages, in the order in which a request meets them.

mount: which paths are pages; starts NiceGUI with the first one. dashboard: what the pages are
given. shared, rates: answers and rates that all open pages share. visit: one open page and whose it
is. layout, text: what every page looks like. Then a page each: fleet (with charts), search (with
hit), memory, quarantine, jobs.
"""
