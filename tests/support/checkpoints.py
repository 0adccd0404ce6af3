"""Checkpoints and models as files, written byte by byte: no library is needed to make them."""

import json
import pickle
import struct
import zipfile
from pathlib import Path

STATE = (
    b"\x80\x02}q\x00(X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03"
    b"ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06J%btq\x07QK\x00J%b\x85q\x08K\x01\x85q\t"
    b"\x89ccollections\nOrderedDict\nq\n)Rq\x0btq\x0cRq\ru."
)
"""data.pkl of {"w": a float32 tensor} as torch.save writes it; `%b` stands for the count of numbers, four bytes."""


def state_pickle(count: int) -> bytes:
    """The pickle of a state dict with one float32 tensor."""
    return STATE.replace(b"%b", struct.pack("<i", count))


def write_checkpoint(path: Path, *, data: bytes = b"\1\2\3\4" * 500, pickled: bytes | None = None) -> Path:
    """A checkpoint in torch's zip, of one storage."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", state_pickle(len(data) // 4) if pickled is None else pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", data)
        archive.writestr("archive/version", "3\n")
    return path


def write_legacy(path: Path, *, data: bytes = b"\1\2\3\4" * 500, pickled: bytes | None = None) -> Path:
    """A checkpoint of before the zip, of one storage."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]
    state = state_pickle(len(data) // 4) if pickled is None else pickled
    pickles = b"".join(pickle.dumps(one, protocol=2) for one in head) + state + pickle.dumps(["0"], protocol=2)
    path.write_bytes(pickles + struct.pack("<q", len(data) // 4) + data)
    return path


def write_safetensors(path: Path, *names: str, metadata: dict[str, str] | None = None) -> Path:
    """Four float32 numbers for each name."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    for number, name in enumerate(names or ("w",)):
        header[name] = {"dtype": "F32", "shape": [4], "data_offsets": [16 * number, 16 * number + 16]}
    raw = json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(range(16)) * len(names or ("w",)))
    return path


def write_model(folder: Path) -> Path:
    """A transformers model of two shards with its index, configuration and tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    for tensor, name in shards.items():
        write_safetensors(folder / name, tensor, metadata={"format": "pt"})
    index = {"metadata": {"total_size": 32}, "weight_map": shards}
    documents: dict[str, object] = {
        "model.safetensors.index.json": index,
        "config.json": {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "dtype": "bfloat16",
                        "hidden_size": 16, "transformers_version": "5.23.0"},
        "tokenizer.json": {"version": "1.0", "added_tokens": [],
                           "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}},
        "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"},
        "generation_config.json": {"eos_token_id": 2},
    }  # fmt: skip
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    return folder
