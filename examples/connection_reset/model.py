"""Makes the model of the reproduction: `model.py FOLDER`, under an interpreter with transformers.

An M2M100, NLLB's architecture, with NLLB's vocabulary size (256,000) and small layers: some 75 million float32
parameters with random weights, 290 MB. They are there twice: as a pickle checkpoint (pytorch_model.bin), as many
services still load them, and as safetensors. Whole or not there: built in a hidden folder, then renamed.
"""

import shutil
import sys
import tempfile
from pathlib import Path

PIECES = 256_000
WIDTH = 256
SYLLABLES = [consonant + vowel for consonant in "bcdfghjklmnprstvz" for vowel in "aeiou"]


def make(folder: Path) -> None:
    """Builds the model unless it is there. Takes some ten seconds."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _tokenizer(hidden)
        _weights(hidden)
        hidden.chmod(0o755)
        hidden.rename(folder)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _tokenizer(folder: Path) -> None:
    """A BPE tokenizer as large as NLLB's: reading it is one call of native code that keeps the GIL for seconds."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pieces = dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", "\u2581", *"abcdefghijklmnopqrstuvwxyz", *SYLLABLES])
    merges = [(syllable[0], syllable[1]) for syllable in SYLLABLES]
    level = SYLLABLES
    while len(pieces) < PIECES:
        longer = [(left, right) for left in level for right in SYLLABLES][: PIECES - len(pieces)]
        merges += longer
        level = [left + right for left, right in longer]
        pieces.update(dict.fromkeys(level))
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.save(str(folder / "tokenizer.json"))


def _weights(folder: Path) -> None:
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    torch.manual_seed(20)
    model = M2M100ForConditionalGeneration(
        M2M100Config(
            vocab_size=PIECES, d_model=WIDTH, encoder_layers=4, decoder_layers=4, encoder_ffn_dim=1024,
            decoder_ffn_dim=1024, encoder_attention_heads=4, decoder_attention_heads=4, max_position_embeddings=512,
            decoder_start_token_id=2,
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
