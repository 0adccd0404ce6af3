"""What an exception of Python's own tells in a load when its message is no more than a name.

A load looks its model up by name in tables (classes, weights, settings) and calls what it unpickled. The name that was
not there says which table it was: a class that an older library does not know, a tensor, or a setting. These rows are
guesses, believed only when nothing else speaks.
"""

from model_load_exporter.classify.patterns.row import FAILED, VAGUE, Pattern

_MODEL_TYPES = (
    r"aya|baichuan|bert|bloom|chatglm|codegen|cohere|command|dbrx|deepseek|exaone|falcon|florence|gemma|glm|"
    r"gpt_?(?:2|bigcode|neox|neo|oss|j)|granite|hunyuan|idefics|internlm|internvl|jamba|kimi|lfm|llama|llava|mamba|"
    r"minicpm|minimax|mistral|mixtral|mllama|modernbert|mpt|nemotron|olmo|opt|paligemma|persimmon|phi|pixtral|qwen|"
    r"recurrent_gemma|refinedweb\w*|seed_oss|siglip|smollm|smolvlm|stablelm|starcoder|whisper|yi|zamba"
)

_SETTINGS = (
    r"Namespace|AttrDict|AttributeDict|EasyDict|DotDict|DictConfig|SimpleNamespace|Munch|HParams?|ConfigDict|Coqpit|"
    r"OmegaConf|Params|Args|Opt|Options|Settings"
)

ROWS: tuple[Pattern, ...] = (
    Pattern("version_incompatible", "keyerror: '",
            r"KeyError: ['\"](?i:(?:" + _MODEL_TYPES + r")[\w.-]*)['\"]\s*$", "transformers, vllm, mlx-lm", rank=VAGUE,
            note="a model type or class that the installed version does not know"),
    Pattern("version_incompatible", "keyerror: '",
            r"KeyError: '\w+(?:For(?:CausalLM|ConditionalGeneration|\w+Classification|MaskedLM|\w*QuestionAnswering)|"
            r"LMHeadModel|Model|Tokenizer(?:Fast)?|Processor|Config)'\s*$", "transformers, vllm", rank=VAGUE),
    Pattern("architecture_mismatch", "keyerror: '",
            r"KeyError: '(?:\w*state_dict\w*|model(?:_\w+)?|params(?:_ema)?|net\w*|module|weights?|ema\w*|generator|"
            r"encoder|decoder|backbone|optimizer\w*|epoch|iteration|checkpoint|hyper_parameters|arch|[GD])'\s*$",
            "checkpoints of another program", rank=VAGUE),
    Pattern("architecture_mismatch", "keyerror: '",
            r"KeyError: '[\w.]+\.(?:\w+\.)*(?:\d+\.)?(?:weights?|bias|gamma|beta|kernel|running_mean|embeddings?)'\s*$",
            "torch, ComfyUI", rank=VAGUE),
    Pattern("config_invalid", "keyerror: '", r"KeyError: '[a-z][a-z0-9]*(?:_[a-z0-9]+)+'\s*$", "", rank=VAGUE,
            note="a setting that the model's configuration does not have"),
    Pattern("config_invalid", "keyerror: '",
            r"KeyError: '(?:tokenizer|processor|architectures|hparams|labels|id2label|settings|params)'\s*$", "",
            rank=VAGUE),
    Pattern("version_incompatible", "keyerror: <class '", r"KeyError: <class '[\w.]+(?:Config|Model|LM)'>",
            "transformers", rank=VAGUE),
    Pattern("unknown", "error occurred when executing ", "", "ComfyUI", rank=FAILED,
            note="the exception stands below, without its type"),
    Pattern("config_invalid", "object has no attribute '",
            r"AttributeError: '(?:\w+\.)*(?:" + _SETTINGS + r")' object has no attribute '", "", rank=VAGUE),
    Pattern("config_invalid", "missing key ", r"Config(?:Attribute|Key)Error: ", "omegaconf", rank=VAGUE),
    Pattern("config_invalid", "is not in struct", r"Config(?:Attribute|Key)Error: ", "omegaconf", rank=VAGUE),
    Pattern("config_invalid", "os.pathlike object, not ",
            r"(?:TypeError: |^)expected str, bytes or os\.PathLike object, not ", "Python", rank=VAGUE,
            note="a path that was not set"),
    Pattern("architecture_mismatch", "' object has no attribute '",
            r"AttributeError: '(?:collections\.|numpy\.)?(?:Ordered[Dd]ict|dict|ndarray)' object has no attribute "
            r"'(?:eval|cuda|cpu|to|half|float|modules|children|parameters|named_\w+|state_dict|load_state_dict|predict\w*|"
            r"forward|fuse|stride|names|yaml|device|config)'", "torch", rank=VAGUE,
            note="the file holds weights alone where a whole model was expected, or the other way round"),
    Pattern("dependency_missing", "nameerror: name '",
            r"NameError: name '(?:_C|init_empty_weights|load_checkpoint_and_dispatch|infer_auto_device_map|"
            r"dispatch_model|bnb|bitsandbytes|flash_attn\w*|autogptq\w*|AutoGPTQ\w*|exllama\w*|awq\w*|quant_cuda|"
            r"rearrange|xformers|triton|deepspeed|peft|PeftModel|sentencepiece|spm|LlamaCpp\w*|llama_cpp|ort|"
            r"onnxruntime|tf|keras|fairseq|ninja|apex|torch|transformers|"
            r"PreTrained\w+|CLIP[A-Z]\w+)' is not defined", "transformers", rank=VAGUE,
            note="an import that was tried and skipped"),
    Pattern("version_incompatible", "object has no attribute '_",
            r"AttributeError: '\w+' object has no attribute '_[a-z]\w*'", "scikit-learn, torch", rank=VAGUE,
            note="a private attribute: an object that another version pickled"),
    Pattern("version_incompatible", "can't set attribute", r"AttributeError: .{0,80}can't set attribute", "",
            rank=VAGUE),
    Pattern("file_missing", "glob(", r"glob\(.{0,120}\)\)?\)?\[-?\d\]\s*(?:#.*)?$", "programs", rank=VAGUE, loud=True,
            note="the source line of an IndexError: the folder holds no such file"),
    Pattern("file_missing", "listdir(", r"listdir\(.{0,120}\)\)?\)?\[-?\d\]\s*(?:#.*)?$", "programs", rank=VAGUE,
            loud=True),
    Pattern("unknown", ".exceptions.", r"^(?:[a-z_]\w*\.)+exceptions\.[A-Z]\w*: \S", "Python", rank=FAILED,
            note="its name need not end in Error"),
    Pattern("unknown", "pybind11_state.", r"^(?:[a-z_]\w*\.)+\w*pybind11_state\.[A-Z]\w*: \S", "onnxruntime",
            rank=FAILED),
    Pattern("unknown", ".errors.", r"^(?:[a-z_]\w*\.)+errors\.[A-Z]\w*: \S", "Python", rank=FAILED),
    Pattern("version_incompatible", "' object has no attribute '",
            r"AttributeError: '(?!NoneType|Ordered[Dd]ict|Namespace)(?:\w+\.)*[A-Z][a-z]\w*' object has no "
            r"attribute '[a-z]\w*'",
            "pickle", rank=VAGUE, note="an object that another version pickled, or a class that it changed"),
)  # fmt: skip
"""Rows of Python's bare exceptions."""
