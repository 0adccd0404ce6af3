"""Witness of ML model loads, outside the process that loads."""
