"""Which stage of a load a line speaks of: what servers print, functions in tracebacks, words of a message."""

from collections.abc import Sequence

from model_load_exporter.analysis.sign import FRAME, STAGE, Sign
from model_load_exporter.classify.patterns import compiled

_MARKS = (
    ("download", "fetching ", r"Fetching \d+ files"),
    ("download", "pulling manifest", ""),
    ("download", "downloading", r"\bDownloading\b(?!.*optional)"),
    ("download", "starting download", r"(?i)starting download process|Starting check and download"),
    ("download", "huggingface.co", r"HTTP Request: (?:GET|HEAD) https?://(?:huggingface\.co|hf\.co)"),
    ("download", "iB/s]", ""),
    ("config", "loading configuration file", ""),
    ("config", "resolved architecture", ""),
    ("config", "initializing a", r"Initializing an? (?:V1 )?LLM engine"),
    ("config", "server_args=serverargs", ""),
    ("tokenizer", "loading file", r"loading file (?:tokenizer|vocab|merges|spiece|special_tokens|added_tokens)"),
    ("tokenizer", "loading tokenizer", r"(?i)\bloading (?:the )?tokenizer"),
    ("tokenizer", "special tokens have been added", ""),
    ("tokenizer", "error loading model vocabulary", ""),
    ("weights", "loading checkpoint shards", ""),
    ("weights", "checkpoint shards:", r"(?:safetensors|pt|\.bin) checkpoint shards:"),
    ("weights", "loading weights", r"(?i)\bloading (?:model )?weights"),
    ("weights", "load weight ", r"Load weight (?:begin|end)"),
    ("weights", "starting to load model", ""),
    ("weights", "model weights", r"Loading (?:pretrained )?model weights|Using model weights format"),
    ("weights", "model loading took", ""),
    ("weights", "loading model", r"(?i)\bloading model\b(?! (?:list|info|card|config|metadata))"),
    ("weights", "llama_model_load", ""),
    ("weights", "load_tensors:", r"\b(?:llm_)?load_tensors:"),
    ("weights", "loading model from", ""),
    ("weights", "update weights:", ""),
    ("weights", "loading initial models", ""),
    ("weights", "all model checkpoint weights were used", ""),
    ("device", "init torch distributed begin", ""),
    ("device", "init nccl begin", ""),
    ("device", "ggml_cuda_init", ""),
    ("device", "device set to use", ""),
    ("pipeline", "loading pipeline components", ""),
    ("warmup", "capture cuda graph begin", ""),
    ("warmup", "cuda graph", r"Captur(?:e|ing) (?:the model for )?(?:CUDA|cuda) graph"),
    ("warmup", "capturing batches", ""),
    ("warmup", "# gpu blocks", ""),
    ("warmup", "gpu kv cache size", ""),
    ("warmup", "kv cache is allocated", ""),
    ("warmup", "memory profiling", r"Memory profiling (?:takes|results)"),
    ("warmup", "kv self size", ""),
    ("warmup", "kv buffer size", ""),
    ("warmup", "compute buffer size", ""),
    ("warmup", "output buffer size", ""),
    ("warmup", "max_total_num_tokens=", ""),
    ("warmup", "warming up", r"(?i)\bwarming up"),
    ("warmup", "warmup", r"(?i)\b(?:starting|running) (?:model )?warmup|warmup error"),
    ("inference", "processing task", r"slot is processing task|launch_slot"),
    ("inference", "exception in asgi application", ""),
    ("inference", "exception on /", r"Exception on /\S* \["),
    ("inference", "exception during processing", ""),
    ("inference", "processing image", ""),
)  # fmt: skip

_FRAMES = (
    ("download", "in snapshot_download", ""),
    ("download", "in hf_hub_download", ""),
    ("download", "in _hf_hub_download_to_cache_dir", ""),
    ("download", "in cached_file", r"in cached_files?$"),
    ("download", "in download_weights", ""),
    ("download", "in hf_raise_for_status", ""),
    ("config", "in get_config_dict", r"in _?get_config_dict"),
    ("config", "configuration_auto.py", r"in from_pretrained"),
    ("config", "in create_engine_config", ""),
    ("config", "in create_model_config", ""),
    ("config", "in _get_and_verify_max_len", ""),
    ("tokenizer", "tokenization_", r"\bin (?:_?from_pretrained|__init__|_load\w*)"),
    ("tokenizer", "in get_tokenizer", ""),
    ("tokenizer", "in init_tokenizer", r"in _?init_tokenizer"),
    ("tokenizer", "in load_tokenizer", ""),
    ("weights", "in load_state_dict", ""),
    ("weights", "in load_weights", ""),
    ("weights", "in weight_loader", ""),
    ("weights", "in create_weights", ""),
    ("weights", "in load_checkpoint", r"in load_checkpoint|in _load_checkpoint"),
    ("weights", "in load_torch_file", ""),
    ("weights", "in _load_pretrained_model", ""),
    ("weights", "in load_model", r"in _?load_model(?:$|\()"),
    ("weights", "modeling_utils.py", r"in (?:_?from_pretrained|_load\w*)"),
    ("weights", "auto_factory.py", r"in from_pretrained"),
    ("weights", "serialization.py", r"torch[/\\]serialization\.py"),
    ("weights", "in load_file", r"safetensors"),
    ("weights", "_create_inference_session", ""),
    ("weights", "load_variable", ""),
    ("device", "in init_device", ""),
    ("device", "in init_process_group", ""),
    ("device", "in init_distributed_environment", ""),
    ("device", "in _lazy_init", ""),
    ("device", "in all_reduce", ""),
    ("pipeline", "pipelines", r"pipelines[/\\]__init__\.py.*in pipeline|pipeline_utils\.py.*in from_pretrained"),
    ("warmup", "in profile_run", ""),
    ("warmup", "in determine_num_available_blocks", ""),
    ("warmup", "in determine_available_memory", ""),
    ("warmup", "in initialize_cache", ""),
    ("warmup", "in initialize_kv_cache", r"in _?initialize_kv_caches?"),
    ("warmup", "in raise_if_cache_size_invalid", ""),
    ("warmup", "in capture_model", ""),
    ("warmup", "in init_cuda_graphs", ""),
    ("warmup", "in warm_up", r"in warm_?up"),
    ("inference", "in forward", r"in forward(?:_\w+)?$"),
    ("inference", "in generate", r"in generate$"),
    ("inference", "in predict", r"in predict$"),
    ("inference", "in execute_model", ""),
)  # fmt: skip

_JOURNAL = ("download", "config", "tokenizer", "weights", "device", "pipeline", "warmup", "inference", "other")

STAGE_SIGNS: tuple[Sign, ...] = (
    *(Sign(STAGE, needle.lower(), regex, stage=stage) for stage, needle, regex in _MARKS),
    *(Sign(FRAME, needle, regex, stage=stage) for stage, needle, regex in _FRAMES),
    *(Sign(STAGE, '"event":"stage_begin"', rf'"stage":"{stage}"', stage=stage) for stage in _JOURNAL),
)
"""Rows for scan. What servers print, frames of tracebacks (innermost last), and the spool's own journals."""

_WORDS = (
    ("tokenizer", r"(?i)tokenizer|\bvocab|\bmerges\b|sentencepiece|spiece\.model|tiktoken"),
    ("config", r"(?i)config\.json|configuration file|max_model_len|max_position_embeddings|model type `|rope_scaling"),
    ("warmup", r"(?i)kv.?cache|cuda graph|warm.?up|compute buffer"),
    ("download", r"(?i)https?://|\bdownload|CAS service|pull model|File reconstruction|resolve/main|disk space"),
    ("weights", r"(?i)safetensors?\b|\.(?:bin|pth?|ckpt|gguf|ggml|onnx|h5|tflite|msgpack)\b|state_dict|checkpoint|"
                r"\bweights?\b|\bshards?\b|unpickl|invalid load key|load_model\b|model file|tensor\b|failed to load "
                r"model"),
    ("device", r"NCCL|nccl|ProcessGroup|CUDA driver|NVIDIA driver|no CUDA|device_count"),
)  # fmt: skip


_BY_REASON = {
    "auth_denied": "download",
    "not_found_remote": "download",
    "network_error": "download",
    "trust_remote_code_required": "config",
    "unsafe_pickle": "weights",
    "lfs_pointer": "weights",
    "shard_missing": "weights",
    "architecture_mismatch": "weights",
    "gpu_unavailable": "device",
}


def stage_of_reason(reason: str) -> str | None:
    """The stage that a reason by itself means; None for those that may happen at any."""
    return _BY_REASON.get(reason)


def by_words(text: str) -> str | None:
    """The stage that a failure's own words point to; None where they name none."""
    return next((stage for stage, words in _WORDS if compiled(words).search(text)), None)


def frame_stage(following: Sequence[str]) -> str | None:
    """The stage that frames below a headline tell: faulthandler prints them so, innermost first."""
    for text in following:
        if text.lstrip().startswith("File "):
            lower = text.lower()
            for sign in STAGE_SIGNS:
                if sign.role == FRAME and sign.needle in lower and compiled(sign.regex).search(text):
                    return sign.stage
    return None
