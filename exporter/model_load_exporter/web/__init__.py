"""The daemon's HTTP side: exposition, status page, JSON, runbooks. One event loop, no thread per request."""
