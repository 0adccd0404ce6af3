"""Metrics of a service's own loads on the service's own /metrics, without a daemon. docs/INPROCESS.md tells more.

collector   ModelLoadCollector: what prometheus_client asks
keeping     one look at the spool that counts and tidies
looking     one look at the spool that changes nothing
turn        whose turn it is to keep
files       the journal files as they are now
"""

from model_load_exporter.inprocess.collector import ModelLoadCollector

__all__ = ["ModelLoadCollector"]
