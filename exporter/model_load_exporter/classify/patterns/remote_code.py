"""Models that bring their own code, which nobody has allowed."""

from model_load_exporter.classify.patterns.row import PLAIN, Pattern

ROWS: tuple[Pattern, ...] = (
    Pattern("trust_remote_code_required", "trust_remote_code=true",
            r"(?i)requires you to execute|contains custom code|please pass the argument|set the option|allow "
            r"custom code", "transformers, vllm"),
    Pattern("trust_remote_code_required", "contains custom code which must be executed", r"(?i)error|exception",
            "transformers", "4.30-"),
    Pattern("trust_remote_code_required", "contains custom code which must be executed", "", "transformers", "4.30-",
            rank=PLAIN, note="also the question whether it may run, which somebody may have answered"),
    Pattern("trust_remote_code_required", "requires you to execute the ", r"file in that repo", "transformers",
            "-4.30"),
    Pattern("trust_remote_code_required", "do you wish to run the custom code? [y/n]",
            r"\[y/N\]\s*(?:[nN]\b|Traceback|EOFError|\w*Error:)", "transformers", "4.36-"),
    Pattern("trust_remote_code_required", "trust-remote-code",
            r"(?i)^(?!.*custom tokenizer not yet).*(?:(?:error|must|require|please|need|to allow).{0,200}"
            r"--trust-remote-code|--trust-remote-code.{0,80}(?:required|to allow))", "vllm, sglang, TGI", rank=PLAIN),
    Pattern("trust_remote_code_required", "untrusted repository", r"Exception: Untrusted repository", "torch.hub",
            "1.12-"),
)  # fmt: skip
"""Rows of trust_remote_code_required."""
