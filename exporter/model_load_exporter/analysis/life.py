"""What clients see, and what servers print as they begin, get up and are asked to end."""

from model_load_exporter.analysis.sign import BEGIN, CLIENT, LOADED, NOTICE, SERVING, STOP, Sign
from model_load_exporter.classify.patterns import LAST

# An address of this host or cluster: the service itself, not a hub, and not the proxy on the way to one.
_LOCAL = (
    r"^(?!.*(?i:huggingface|hf\.co|amazonaws|modelscope|proxy)).*"
    r"(?:localhost|\b127\.\d|\b10\.\d{1,3}\.|\b192\.168\.|\b172\.(?:1[6-9]|2\d|3[01])\.|\.svc\b|\[?::1\]?)"
)


def _client(needle: str, regex: str = "") -> Sign:
    """Below every end: a client only sees that there is no answer."""
    return Sign(CLIENT, needle, regex, "network_error", LAST - 1, "a client's view of the service", owns=True)


_CLIENTS = (
    _client("upstream prematurely closed connection"),
    _client("while reading response header from upstream"),
    _client("while connecting to upstream"),
    _client("no live upstreams"),
    _client("remote end closed connection without response", _LOCAL),
    _client("empty reply from server"),
    _client("connection reset by peer", rf"upstream|Recv failure|{_LOCAL}"),
    _client("connection refused", _LOCAL),
    _client("failed to connect to", r"curl: \(7\)"),
    _client("connection timed out", r"upstream timed out"),
    _client("upstream connect error"),
    _client("no healthy upstream"),
    _client("bad gateway", r"\b502\b"),
    _client("service unavailable", r"\b503\b(?! Server Error)"),
    _client("gateway time", r"\b504\b"),
)  # fmt: skip

_NOT = r"(?!\W+(?:false|none|0)\b)(?!.{0,40}\b(?:fail|not|error))"

_LIFE = (
    # begins
    Sign(BEGIN, "booting worker with pid", r"Booting worker with pid"),
    Sign(BEGIN, "starting gunicorn", r"Starting gunicorn \d"),
    Sign(BEGIN, "started server process", r"Started server process \["),
    Sign(BEGIN, "started parent process", r"Started parent process \["),
    Sign(BEGIN, "started reloader process", r"Started reloader process \["),
    Sign(BEGIN, "initializing a", r"Initializing an? (?:V1 )?LLM engine"),
    Sign(BEGIN, "server_args=serverargs"),
    Sign(BEGIN, "vllm api server version"),
    Sign(BEGIN, "scheduled restart job", "", says="systemd starts it again"),
    Sign(BEGIN, "systemd[", r"systemd\[\d+\]: (?:Starting|Started) "),
    Sign(BEGIN, "spawned: '", r"spawned: '.*' with pid"),
    Sign(BEGIN, "container start", r"\bcontainer start [0-9a-f]{12}"),
    Sign(BEGIN, "starting shard", r"Starting shard rank=0"),
    Sign(BEGIN, "torchserve version"),
    Sign(BEGIN, "\"event\":\"begin\"", r"^\{\"event\":\"begin\",\"v\":1"),
    # the model is there
    Sign(LOADED, "graph capturing finished"),
    Sign(LOADED, "capture cuda graph end"),
    Sign(LOADED, "available routes are"),
    Sign(LOADED, "the server is fired up and ready to roll"),
    Sign(LOADED, "model loaded", rf"(?i)(?<!no )(?<!without a )\bmodel loaded\b{_NOT}"),
    Sign(LOADED, "loaded model", rf"(?i)(?<!not )\bloaded model\b{_NOT}"),
    Sign(LOADED, "finished loading", rf"(?i)finished loading (?:the )?(?:model|pipeline|checkpoint)\b{_NOT}"),
    Sign(LOADED, "loaded successfully",
         r"(?i)(?:model|weights|pipeline|checkpoint|engine)\b.{0,120}loaded successfully"),
    Sign(LOADED, "successfully loaded",
         r"(?i)successfully loaded (?:the |a )?(?:\S+ )?(?:model|pipeline|checkpoint|faiss|'\S+' version)"),
    Sign(LOADED, " loaded.", r"Model \S+ loaded\.$"),
    Sign(LOADED, "llama runner started in"),
    Sign(LOADED, "listening on http", r"main: server (?:is )?listening on http"),
    Sign(LOADED, "loaded in", r"(?i)\b(?:model|pipeline|weights)\b.{0,80}\bloaded in \d"),
    Sign(LOADED, "state change", r"State change WORKER_STARTED -> WORKER_MODEL_LOADED"),
    Sign(LOADED, "text_generation_router", r"text_generation_router.*: Connected$|Setting max batch total tokens"),
    Sign(LOADED, "\"outcome\":\"loaded\"", r"^\{\"event\":\"end\".*\"outcome\":\"loaded\""),
    # the server is up
    Sign(SERVING, "application startup complete"),
    Sign(SERVING, "uvicorn running on"),
    Sign(SERVING, "running on http", r"(?i)\* Running on http|Running on local URL"),
    Sign(SERVING, "started httpservice at", r"Started HTTPService at"),
    # asked to end
    Sign(STOP, "handling signal: term", r"Handling signal: (?:term|quit|int)", "killed"),
    Sign(STOP, "received sigterm", r"(?i)received SIGTERM", "killed"),
    Sign(STOP, "received signal", r"(?i)received signal (?:15|SIGTERM)", "killed"),
    Sign(STOP, "stopping container", r"Killing\s.*Stopping container", "killed", LAST, "the kubelet stops it"),
    # what an incident's reader wants to see
    Sign(NOTICE, "worker exiting", r"Worker exiting \(pid"),
)  # fmt: skip

LIFE_SIGNS: tuple[Sign, ...] = (*_CLIENTS, *_LIFE)
