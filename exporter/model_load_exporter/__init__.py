"""Witness of ML model loads, outside the process that loads.

What a service imports from here needs the standard library alone:

    from model_load_exporter import track_load, unloaded
"""

from model_load_exporter.instrument.track import track_load, unloaded

__all__ = ["track_load", "unloaded"]
