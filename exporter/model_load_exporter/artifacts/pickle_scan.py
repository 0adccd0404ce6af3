"""Pickles read opcode by opcode and never executed: what they import, what they call, where they end.

The stack and the memo are kept as the unpickler keeps them, but with names, numbers and short strings only; all else is
one opaque value. So STACK_GLOBAL's module is known whatever detour it took, and what a pickle computes instead of
naming it is seen as that. A pickle that breaks off still ran what stood before: its globals are told all the same.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from model_load_exporter.artifacts.pickle_globals import Global

MAX_OPCODES = 20_000_000
"""A state dict has some thirty opcodes a tensor; scanning this many takes ten seconds."""

MAX_VALUES = 4_000_000
"""Values on the stack or in the memo at one time: about 100 MB here."""

NEWEST = 5
"""The newest protocol of pickles."""

WINDOW = 256 * 1024
_SHORT = 1024
"""Bytes of the longest string that is kept; no module has a longer name."""

_KEPT_ITEMS = 8
_MAX_STORAGES = 1_000_000
_MAX_GLOBALS = 10_000

Read = Callable[[int, int], bytes]
"""read(offset, length): exactly that many bytes."""


class BrokenError(Exception):
    """The pickle cannot go on; the message is the rest of a sentence that begins with `its pickle`."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A tensor's bytes that lie outside of the pickle. kind: torch's type name. count: of its items."""

    kind: str
    key: str
    count: int


@dataclass(slots=True)
class Scan:
    """What one pickle does. end: the offset behind it. globals: each once, in their order. computed: what it calls or
    imports without naming it, in words. broken: why it does not reach its end; None where it does. value: what it makes
    where that is a number or a string. protocol: as it says."""

    end: int = 0
    globals: dict[Global, None] = field(default_factory=dict)
    computed: list[str] = field(default_factory=list)
    storages: dict[str, Storage] = field(default_factory=dict)
    broken: str | None = None
    value: object = None
    protocol: int = 0


def scan(read: Read, begin: int, size: int, *, arrays: bool = False) -> Scan:
    """One pickle that begins at `begin` of `size` readable bytes. Never raises but what `read` raises.

    arrays: read as joblib does, whose arrays lie in the midst of the pickle. What that skips pickle.load may execute:
    scan it in both ways.
    """
    result = Scan()
    machine = _Machine(read, begin, size, result, arrays)
    try:
        machine.run()
    except BrokenError as error:
        result.broken = str(error)
    except (IndexError, ValueError, UnicodeDecodeError, OverflowError):
        result.broken = "is damaged"
    result.end = min(machine.position, size)
    return result


_OPAQUE = None
_FIXED = {  # opcode: bytes of an argument that says nothing here
    b"G"[0]: 8,
    0x95: 8,
}
_PUSHES = frozenset(b"N)]}G") | {0x88, 0x89, 0x8F, 0x97}
_NUMBERS = {b"J"[0]: (4, True), b"K"[0]: (1, False), b"M"[0]: (2, False)}
_STRINGS = {b"X"[0]: 4, 0x8C: 1, 0x8D: 8}  # opcode: bytes of its length
_OLD_STRINGS = {b"T"[0]: 4, b"U"[0]: 1}
_BYTES = {b"B"[0]: 4, b"C"[0]: 1, 0x8E: 8, 0x96: 8}
_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}
_DROPS = {b"a"[0]: 1, b"s"[0]: 2, b"b"[0]: 1}
_OLD_LONG = {0x8A: 1, 0x8B: 4}


_ALIGNMENT = "numpy_array_alignment_bytes"
_DTYPE = Global("numpy", "dtype")


class _Dtype(NamedTuple):
    """numpy's type by its code: f8, U12."""

    code: str

    @property
    def bytes(self) -> int:
        """Of one item. Raises ValueError for none."""
        return int(self.code[1:]) * (4 if self.code.startswith("U") else 1)


class _Machine:
    """The unpickler's stack, marks and memo, over a window of the file."""

    def __init__(self, read: Read, begin: int, size: int, result: Scan, arrays: bool) -> None:
        self._arrays = arrays
        self._wrapped: dict[object, object] | None = None
        self._read = read
        self._size = size
        self._base = begin
        self._window = b""
        self._at = 0
        self._result = result
        self._stack: list[object] = []
        self._marks: list[list[object]] = []
        self._memo: list[object] = []
        self._far: dict[int, object] = {}

    @property
    def position(self) -> int:
        return self._base + self._at

    def run(self) -> None:
        """Until STOP. Raises BrokenError, or IndexError and ValueError where it is damaged."""
        stack = self._stack
        for count in range(MAX_OPCODES):
            if len(self._window) - self._at < 16:
                self._refill()
                if count and len(self._stack) + len(self._memo) + len(self._far) > MAX_VALUES:
                    raise BrokenError(f"holds more than {MAX_VALUES} values, far more than weights need")
            code = self._window[self._at]
            self._at += 1
            stack = self._stack
            if code in (0x71, 0x72):  # BINPUT, LONG_BINPUT
                self._put(self._number(1 if code == 0x71 else 4), stack[-1])
            elif code in (0x68, 0x6A):  # BINGET, LONG_BINGET
                stack.append(self._get(self._number(1 if code == 0x68 else 4)))
            elif code in _NUMBERS:
                stack.append(self._number(*_NUMBERS[code]))
            elif code in _STRINGS:
                stack.append(self._string(self._number(_STRINGS[code])))
            elif code in _TUPLES:
                items = stack[-_TUPLES[code] :]
                if len(items) < _TUPLES[code]:
                    raise IndexError
                stack[-_TUPLES[code] :] = [_tuple(items)]
            elif code == 0x28:  # MARK
                self._marks.append(stack)
                self._stack = []
                if len(self._marks) > MAX_VALUES // 40:
                    raise BrokenError("nests deeper than weights do")
            elif code in _PUSHES:
                self._at += _FIXED.get(code, 0)
                stack.append(_OPAQUE)
            elif code == 0x2E:  # STOP
                self._result.value = stack.pop()
                return
            else:
                self._rare(code, stack)
        raise BrokenError(f"has more than {MAX_OPCODES} opcodes, far more than weights need")

    def _rare(self, code: int, stack: list[object]) -> None:
        if code in _DROPS:
            if len(stack) <= _DROPS[code]:
                raise IndexError
            del stack[-_DROPS[code] :]
            if code == 0x62 and self._wrapped is not None:  # BUILD
                self._array(self._wrapped)
        elif code == 0x74:  # TUPLE
            items = self._since_mark()
            self._stack.append(_tuple(items))
        elif code in (0x65, 0x75, 0x90):  # APPENDS, SETITEMS, ADDITEMS
            items = self._since_mark()
            self._stack[-1]
            if code == 0x75 and self._arrays and _ALIGNMENT in items:
                self._wrapped = dict(zip(items[::2], items[1::2], strict=False))
        elif code in (0x6C, 0x64, 0x91):  # LIST, DICT, FROZENSET
            self._since_mark()
            self._stack.append(_OPAQUE)
        elif code == 0x63:  # GLOBAL
            stack.append(self._global(self._line(), self._line()))
        elif code == 0x93:  # STACK_GLOBAL
            name, module = stack.pop(), stack.pop()
            stack.append(self._global(module, name))
        elif code in (0x52, 0x81):  # REDUCE, NEWOBJ
            arguments = stack.pop()
            stack[-1] = self._called(stack[-1], arguments)
        elif code == 0x92:  # NEWOBJ_EX
            del stack[-2:]
            stack[-1] = self._called(stack[-1])
        elif code == 0x69:  # INST
            target = self._global(self._line(), self._line())
            self._since_mark()
            self._stack.append(self._called(target))
        elif code == 0x6F:  # OBJ
            self._stack.append(self._called(self._since_mark()[0]))
        elif code == 0x51:  # BINPERSID
            stack[-1] = self._persistent(stack[-1])
        elif code == 0x50:  # PERSID
            self._persistent(self._line())
            stack.append(_OPAQUE)
        elif code in (0x82, 0x83, 0x84):  # EXT1, EXT2, EXT4
            number = self._number(1 << (code - 0x82))
            self._result.computed.append(f"imports extension {number} of a registry that is not in the file")
            stack.append(_OPAQUE)
        elif code == 0x94:  # MEMOIZE
            self._put(len(self._memo) + len(self._far), stack[-1])
        elif code == 0x30:  # POP
            if stack:
                stack.pop()
            else:
                self._since_mark()
        elif code == 0x31:  # POP_MARK
            self._since_mark()
        elif code == 0x32:  # DUP
            stack.append(stack[-1])
        elif code in _BYTES:
            self._skip(self._number(_BYTES[code]))
            stack.append(_OPAQUE)
        elif code in _OLD_STRINGS:
            stack.append(self._string(self._number(_OLD_STRINGS[code]), "latin-1"))
        elif code in _OLD_LONG:
            length = self._number(_OLD_LONG[code])
            if length > _SHORT:
                self._skip(length)
                stack.append(_OPAQUE)
            else:
                stack.append(int.from_bytes(self._take(length), "little", signed=True))
        elif code == 0x80:  # PROTO
            self._result.protocol = self._number(1)
            if self._result.protocol > NEWEST:
                raise BrokenError(f"is of protocol {self._result.protocol}; {NEWEST} is the newest that Python has")
        elif code == 0x95:  # FRAME
            self._take(8)
        elif code == 0x98:  # READONLY_BUFFER
            stack[-1]
        elif code in b"pgILFSV":
            self._text(code, self._line(), stack)
        else:
            raise BrokenError(f"has an opcode {code:#04x} that no Python knows")

    def _text(self, code: int, line: str, stack: list[object]) -> None:
        """The opcodes of protocol 0, whose argument is a line."""
        if code == 0x70:  # PUT
            self._put(_plain_int(line), stack[-1])
        elif code == 0x67:  # GET
            stack.append(self._get(_plain_int(line)))
        elif code in b"IL":
            stack.append(_plain_int(line.removesuffix("L")) if len(line) < 20 else _OPAQUE)
        elif code == 0x53:  # STRING: a Python literal; escapes could spell a name, so only plain ones are kept
            plain = line[1:-1]
            stack.append(plain if len(line) > 1 and "\\" not in plain and len(line) < _SHORT else _OPAQUE)
        elif code == 0x56:  # UNICODE
            stack.append(line if "\\" not in line and len(line) < _SHORT else _OPAQUE)
        else:
            stack.append(_OPAQUE)

    def _global(self, module: object, name: object) -> object:
        if not (isinstance(module, str) and isinstance(name, str)):
            self._result.computed.append("imports a name that it computes")
            return _OPAQUE
        found = Global(module, name)
        if len(self._result.globals) < _MAX_GLOBALS:
            self._result.globals[found] = None
        elif found not in self._result.globals:
            raise BrokenError(f"imports more than {_MAX_GLOBALS} names")
        return found

    def _called(self, target: object, arguments: object = _OPAQUE) -> object:
        if target == _DTYPE and isinstance(arguments, tuple) and arguments:
            return _Dtype(str(arguments[0]))
        if not isinstance(target, Global) and len(self._result.computed) < 100:
            self._result.computed.append("calls something that it computes")
        return _OPAQUE

    def _array(self, wrapper: dict[object, object]) -> None:
        """Skips what joblib writes behind an array's description: a pickle of objects, or padding and raw items."""
        self._wrapped = None
        shape, dtype = wrapper.get("shape"), wrapper.get("dtype")
        if not isinstance(shape, tuple) or not isinstance(dtype, _Dtype):
            raise BrokenError("has an array whose size is not told")
        if dtype.code.startswith("O"):
            nested = scan(self._read, self.position, self._size)
            self._result.globals |= nested.globals
            self._result.computed += nested.computed
            if nested.broken:
                raise BrokenError(nested.broken)
            self._base, self._at, self._window = nested.end, 0, b""
            return
        if wrapper.get(_ALIGNMENT) is not None:
            self._skip(self._number(1))
        self._skip(math.prod(side for side in shape if isinstance(side, int)) * dtype.bytes)

    def _persistent(self, told: object) -> object:
        """torch's reference to bytes outside of the pickle: ('storage', type, key, location, count, ...)."""
        match told:
            case ("storage", Global(_, kind), str(key), _, int(count), *_):
                if len(self._result.storages) >= _MAX_STORAGES:
                    raise BrokenError(f"names more than {_MAX_STORAGES} storages")
                self._result.storages[key] = Storage(kind, key, count)
            case ("module", Global() as layer, *_):  # before torch 1.6: the class with its source, which is compared
                return layer
        return _OPAQUE

    def _since_mark(self) -> list[object]:
        items = self._stack
        self._stack = self._marks.pop()
        return items

    def _put(self, key: int, value: object) -> None:
        if key == len(self._memo):
            self._memo.append(value)
            self._far.pop(key, None)
        elif 0 <= key < len(self._memo):
            self._memo[key] = value
        elif key < 0:
            raise ValueError
        else:
            self._far[key] = value

    def _get(self, key: int) -> object:
        if 0 <= key < len(self._memo):
            return self._memo[key]
        if key not in self._far:
            raise BrokenError("refers to a value that it does not have")
        return self._far[key]

    def _number(self, width: int, signed: bool = False) -> int:
        return int.from_bytes(self._take(width), "little", signed=signed)

    def _string(self, length: int, encoding: str = "utf-8") -> object:
        if length > _SHORT:
            self._skip(length)
            return _OPAQUE
        return self._take(length).decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict")

    def _take(self, length: int) -> bytes:
        if len(self._window) - self._at < length:
            self._refill()
        raw = self._window[self._at : self._at + length]
        if len(raw) < length:
            raise BrokenError("breaks off")
        self._at += length
        return raw

    def _skip(self, length: int) -> None:
        if length < 0 or self.position + length > self._size:
            raise BrokenError("breaks off")
        self._at += length

    def _line(self) -> str:
        """Up to the next newline; of a longer one than a name can be, no more than that it is longer."""
        while (stop := self._window.find(b"\n", self._at)) < 0:
            if self.position + len(self._window) - self._at >= self._size:
                raise BrokenError("breaks off")
            if len(self._window) - self._at >= WINDOW:  # text of megabytes: its beginning is enough
                self._at += WINDOW - 1
            left = len(self._window) - self._at
            self._refill()
            if len(self._window) <= left:  # a stream's size is not known before its end
                raise BrokenError("breaks off")
        raw = self._window[self._at : stop]
        self._at = stop + 1
        return raw[: 2 * _SHORT].decode("utf-8", "replace").rstrip("\r")

    def _refill(self) -> None:
        position = self.position
        if position >= self._size:
            raise BrokenError("breaks off")
        self._base, self._at = position, 0
        self._window = self._read(position, min(WINDOW, self._size - position))
        if not self._window:
            raise BrokenError("breaks off")


def _tuple(items: list[object]) -> object:
    """Few items are kept, and no tuple in a tuple: nothing grows with what a file nests."""
    if len(items) > _KEPT_ITEMS:
        return _OPAQUE
    return tuple(_OPAQUE if type(item) is tuple else item for item in items)


def _plain_int(line: str) -> int:
    if len(line) > 20:
        raise ValueError
    return int(line)
