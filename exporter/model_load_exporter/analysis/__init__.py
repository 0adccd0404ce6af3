"""Any mix of logs to the cause of a failed load.

sources ─> reading ─> scan (an engine finds the lines that fit a row of the table) ─> what they mean together
"""
