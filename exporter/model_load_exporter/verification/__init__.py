"""Model files verified in the background: when, in which process, and where each model's files stand."""
