"""/metrics: text format and OpenMetrics, gzip, and `collect[]` for some collectors only."""

from aiohttp import hdrs, web

from model_load_exporter.web.context import CONTEXT

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


async def exposition(request: web.Request) -> web.Response:
    """Every series, in the format that the client asks for."""
    scraper = request.app[CONTEXT].scraper
    only = request.query.getall("collect[]", [])
    unknown = sorted(set(only) - set(scraper.names))
    if unknown:
        return web.Response(
            status=400, text=f"no collector {', '.join(unknown)}; there are: {', '.join(scraper.names)}\n"
        )
    openmetrics = "application/openmetrics-text" in request.headers.get(hdrs.ACCEPT, "")
    gzipped = _accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    body = await scraper.scrape(openmetrics=openmetrics, gzipped=gzipped, only=only)
    headers = {hdrs.CONTENT_TYPE: OPENMETRICS if openmetrics else TEXT}
    if gzipped:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    return web.Response(body=body, headers=headers)


def _accepts_gzip(header: str) -> bool:
    for part in header.split(","):
        name, _, weight = part.strip().partition(";")
        if name in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
