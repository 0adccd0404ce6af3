"""Loads that the exporter tries itself, in a sandbox, before users do."""
