"""`run -- CMD`: the supervisor of one service. Small on purpose: it stays beside the service for its whole life.

Its process is a bare interpreter without site; what only the start or a death needs is imported there.
"""
