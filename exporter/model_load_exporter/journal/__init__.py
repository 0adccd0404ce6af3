"""The journal: format, writing and reading of the spool. Standard library only; docs/JOURNAL.md is its contract."""
