"""The application: which address answers what."""

from aiohttp import web
from aiohttp.typedefs import Handler

from model_load_exporter.web import api, lifecycle, metrics, probe, runbooks, status
from model_load_exporter.web.context import CONTEXT, Context


def application(context: Context) -> web.Application:
    """The aiohttp application of a running daemon."""
    app = web.Application(middlewares=[_plain_errors])
    app[CONTEXT] = context
    app.add_routes(
        [
            web.get("/", status.page),
            web.get("/metrics", metrics.exposition),
            web.get("/probe", probe.probe),
            web.get("/sd", probe.discovery),
            web.get("/api/v1/models", api.models),
            web.get("/api/v1/loads", api.loads),
            web.get("/api/v1/loads/{id}", api.load),
            web.get("/runbooks", runbooks.index),
            web.get("/runbooks/", runbooks.index),
            web.get("/runbooks/{alert}", runbooks.runbook),
            web.get("/-/healthy", lifecycle.healthy),
            web.get("/-/ready", lifecycle.ready),
            web.post("/-/reload", lifecycle.reload),
        ]
    )
    return app


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """An error of a handler is one line for the client; aiohttp's log has the rest."""
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except ConnectionError:
        raise
    except Exception as error:
        request.app.logger.exception("%s %s", request.method, request.path)
        return web.Response(status=500, text=f"internal error: {type(error).__name__}; the exporter's log has more\n")
