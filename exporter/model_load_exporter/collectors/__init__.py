"""Collectors: one file each, from what is known to prometheus_client's metric families."""
