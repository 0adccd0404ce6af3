"""/-/healthy, /-/ready, /-/reload: what supervisors and people ask of the daemon itself."""

from aiohttp import web

from model_load_exporter.web.context import CONTEXT


async def healthy(request: web.Request) -> web.Response:
    """200 while the daemon does its work; 503 when its recorder is gone."""
    if request.app[CONTEXT].recorder.is_alive():
        return web.Response(text="healthy\n")
    return web.Response(status=503, text="the recorder has ended: restart the exporter; its log says why\n")


async def ready(request: web.Request) -> web.Response:
    """200 once everything that was in the spool at the start is on record."""
    if request.app[CONTEXT].recorder.caught_up.is_set():
        return web.Response(text="ready\n")
    return web.Response(status=503, text="still reading the spool\n")


async def reload(request: web.Request) -> web.Response:
    """Reads the config file again; a bad one changes nothing and is told line by line."""
    problem = await request.app[CONTEXT].reload()
    if problem:
        return web.Response(status=400, text=f"{problem}\nthe configuration in force stays\n")
    return web.Response(text="reloaded\n")
