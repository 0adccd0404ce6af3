"""/health and /model/health of a service: what a load balancer, an orchestrator and a person ask it.

    state of this process (instrument.state) ─┐
                                              ├─> answers ─> asgi, wsgi: inside the service
    journals in the spool (watching) ─────────┘           └> server: the side process, for when the service cannot

The standard library only, and nothing of it is imported by a service that does not use it.
"""
