"""Where the daemon keeps its files when nobody says otherwise."""

from model_load_exporter.journal.spool import SYSTEM_SPOOL

SPOOL = SYSTEM_SPOOL
STATE = "/var/lib/model-load-exporter/state"
