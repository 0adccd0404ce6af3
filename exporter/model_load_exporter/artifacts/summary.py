"""What a model file says of itself in its header or directory, whatever its format."""

from dataclasses import dataclass, field


class ArtifactError(ValueError):
    """A file is not what it seems; `reason` is of the closed set (file_corrupted, ...), the text one line."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Summary:
    """One file. format: its format's name. file_bytes: its size. tensor_bytes: of its tensors, as they lie in memory.

    parameters: numbers in all tensors, None where the format does not tell. dtypes: bytes by data type (`bfloat16`),
    largest first. metadata: what its writer noted.
    """

    format: str
    file_bytes: int
    tensor_bytes: int
    parameters: int | None = None
    dtypes: dict[str, int] = field(default_factory=dict, hash=False)
    metadata: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def dtype(self) -> str | None:
        """The data type that most bytes have."""
        return next(iter(self.dtypes), None)
