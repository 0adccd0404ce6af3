"""From an exception, a log's last lines or a file on the disk to one reason of the closed set.

    describe(error) ─> links ─┐
    another process's report ─┼─> classify ─> Classification(reason, message)
    look(path) ───────────────┘      ^
    a log's text ─> classify_text ───┤
                                     └─ patterns.py (what libraries say), known.py (types and error numbers)

It runs inside the service whose load failed, perhaps out of memory or file descriptors: standard library only, all
modules imported at the start, regular expressions compiled when first needed, and no function raises.
"""
