"""Pickles read opcode by opcode and never executed: what they import, what they call, where they end.

The stack and the memo are kept as the unpickler keeps them, but with names, numbers and short strings only; all else is
one opaque value. So STACK_GLOBAL's module is known whatever detour it took, and what a pickle computes instead of
naming it is seen as that. A pickle that breaks off still ran what stood before: its globals are told all the same.
"""

import math
import pickle as op  # for the names of its opcodes; nothing here is unpickled
from dataclasses import dataclass, field
from typing import NamedTuple

from model_load_exporter.artifacts.pickle_bytes import OPAQUE, SHORT, BrokenError, Read, Window
from model_load_exporter.artifacts.pickle_globals import Global

MAX_OPCODES = 20_000_000
"""A state dict has some thirty opcodes a tensor; scanning this many takes ten seconds."""

MAX_VALUES = 4_000_000
"""Values on the stack or in the memo at one time: about 100 MB here."""

NEWEST = 5
"""The newest protocol of pickles."""

_KEPT_ITEMS = 8
_MAX_STORAGES = 1_000_000
_MAX_GLOBALS = 10_000


@dataclass(frozen=True, slots=True)
class Storage:
    """A tensor's bytes that lie outside of the pickle. kind: torch's type name. count: of its items."""

    kind: str
    key: str
    count: int


@dataclass(slots=True)
class Scan:
    """What one pickle does.

    end: the offset behind it. globals: each once, in their order. called: those of them that it calls as functions.
    computed: what it calls or imports without naming it, in words. broken: why it does not reach its end; None where it
    does. value: what it makes where that is a number or a string. protocol: as it says.
    """

    end: int = 0
    globals: dict[Global, None] = field(default_factory=dict)
    called: dict[Global, None] = field(default_factory=dict)
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


# By opcode: the bytes of its argument or of that argument's length, or the values that it takes.
_PUSHES = {
    **dict.fromkeys((op.NONE, op.NEWTRUE, op.NEWFALSE, op.NEXT_BUFFER), 0),
    **dict.fromkeys((op.EMPTY_TUPLE, op.EMPTY_LIST, op.EMPTY_DICT, op.EMPTY_SET), 0),
    op.BINFLOAT: 8,
}
_PUTS = {op.BINPUT: 1, op.LONG_BINPUT: 4}
_GETS = {op.BINGET: 1, op.LONG_BINGET: 4}
_NUMBERS = {op.BININT: (4, True), op.BININT1: (1, False), op.BININT2: (2, False)}
_STRINGS = {op.BINUNICODE: 4, op.SHORT_BINUNICODE: 1, op.BINUNICODE8: 8}
_OLD_STRINGS = {op.BINSTRING: 4, op.SHORT_BINSTRING: 1}
_BYTES = {op.BINBYTES: 4, op.SHORT_BINBYTES: 1, op.BINBYTES8: 8, op.BYTEARRAY8: 8}
_OLD_LONGS = {op.LONG1: 1, op.LONG4: 4}
_EXTENSIONS = {op.EXT1: 1, op.EXT2: 2, op.EXT4: 4}
_TUPLES = {op.TUPLE1: 1, op.TUPLE2: 2, op.TUPLE3: 3}
_DROPS = {op.APPEND: 1, op.SETITEM: 2, op.BUILD: 1}
_LINES = {op.PUT, op.GET, op.INT, op.LONG, op.FLOAT, op.STRING, op.UNICODE}

_ALIGNMENT = "numpy_array_alignment_bytes"
_DTYPE = Global("numpy", "dtype")


class _Dtype(NamedTuple):
    """numpy's type by its code: f8, U12."""

    code: str

    @property
    def bytes(self) -> int:
        """Of one item. Raises ValueError for none."""
        return int(self.code[1:]) * (4 if self.code.startswith("U") else 1)


class _Machine(Window):
    """The unpickler's stack, marks and memo, over a window of the file."""

    def __init__(self, read: Read, begin: int, size: int, result: Scan, arrays: bool) -> None:
        super().__init__(read, begin, size)
        self._arrays = arrays
        self._wrapped: dict[object, object] | None = None
        self._result = result
        self._stack: list[object] = []
        self._marks: list[list[object]] = []
        self._memo: list[object] = []
        self._far: dict[int, object] = {}

    def run(self) -> None:
        """Until STOP. Raises BrokenError, or IndexError and ValueError where it is damaged."""
        stack = self._stack
        for count in range(MAX_OPCODES):
            if len(self._window) - self._at < 16:
                self._refill()
                if count and len(self._stack) + len(self._memo) + len(self._far) > MAX_VALUES:
                    raise BrokenError(f"holds more than {MAX_VALUES} values, far more than weights need")
            code = self._window[self._at : self._at + 1]
            self._at += 1
            stack = self._stack
            if code in _PUTS:
                self._put(self._number(_PUTS[code]), stack[-1])
            elif code in _GETS:
                stack.append(self._get(self._number(_GETS[code])))
            elif code in _NUMBERS:
                stack.append(self._number(*_NUMBERS[code]))
            elif code in _STRINGS:
                stack.append(self._string(self._number(_STRINGS[code])))
            elif code in _TUPLES:
                items = stack[-_TUPLES[code] :]
                if len(items) < _TUPLES[code]:
                    raise IndexError
                stack[-_TUPLES[code] :] = [_tuple(items)]
            elif code == op.MARK:
                self._marks.append(stack)
                self._stack = []
                if len(self._marks) > MAX_VALUES // 40:
                    raise BrokenError("nests deeper than weights do")
            elif code in _PUSHES:
                self._at += _PUSHES[code]
                stack.append(OPAQUE)
            elif code == op.STOP:
                self._result.value = stack.pop()
                return
            else:
                self._rare(code, stack)
        raise BrokenError(f"has more than {MAX_OPCODES} opcodes, far more than weights need")

    def _rare(self, code: bytes, stack: list[object]) -> None:
        if code in _DROPS:
            if len(stack) <= _DROPS[code]:
                raise IndexError
            del stack[-_DROPS[code] :]
            if code == op.BUILD and self._wrapped is not None:
                self._array(self._wrapped)
        elif code == op.TUPLE:
            items = self._since_mark()
            self._stack.append(_tuple(items))
        elif code in (op.APPENDS, op.SETITEMS, op.ADDITEMS):
            items = self._since_mark()
            self._stack[-1]
            if code == op.SETITEMS and self._arrays and _ALIGNMENT in items:
                self._wrapped = dict(zip(items[::2], items[1::2], strict=False))
        elif code in (op.LIST, op.DICT, op.FROZENSET):
            self._since_mark()
            self._stack.append(OPAQUE)
        elif code == op.GLOBAL:
            stack.append(self._global(self._line(), self._line()))
        elif code == op.STACK_GLOBAL:
            name, module = stack.pop(), stack.pop()
            stack.append(self._global(module, name))
        elif code in (op.REDUCE, op.NEWOBJ):
            arguments = stack.pop()
            stack[-1] = self._called(stack[-1], arguments, function=code == op.REDUCE)
        elif code == op.NEWOBJ_EX:
            del stack[-2:]
            stack[-1] = self._called(stack[-1])
        elif code == op.INST:
            target = self._global(self._line(), self._line())
            self._since_mark()
            self._stack.append(self._called(target, function=True))
        elif code == op.OBJ:
            self._stack.append(self._called(self._since_mark()[0], function=True))
        elif code == op.BINPERSID:
            stack[-1] = self._persistent(stack[-1])
        elif code == op.PERSID:
            self._persistent(self._line())
            stack.append(OPAQUE)
        elif code in _EXTENSIONS:
            number = self._number(_EXTENSIONS[code])
            self._result.computed.append(f"imports extension {number} of a registry that is not in the file")
            stack.append(OPAQUE)
        elif code == op.MEMOIZE:
            self._put(len(self._memo) + len(self._far), stack[-1])
        elif code == op.POP:
            if stack:
                stack.pop()
            else:
                self._since_mark()
        elif code == op.POP_MARK:
            self._since_mark()
        elif code == op.DUP:
            stack.append(stack[-1])
        elif code in _BYTES:
            self._skip(self._number(_BYTES[code]))
            stack.append(OPAQUE)
        elif code in _OLD_STRINGS:
            stack.append(self._string(self._number(_OLD_STRINGS[code]), "latin-1"))
        elif code in _OLD_LONGS:
            length = self._number(_OLD_LONGS[code])
            if length > SHORT:
                self._skip(length)
                stack.append(OPAQUE)
            else:
                stack.append(int.from_bytes(self._take(length), "little", signed=True))
        elif code == op.PROTO:
            self._result.protocol = self._number(1)
            if self._result.protocol > NEWEST:
                raise BrokenError(f"is of protocol {self._result.protocol}; {NEWEST} is the newest that Python has")
        elif code == op.FRAME:
            self._take(8)
        elif code == op.READONLY_BUFFER:
            stack[-1]
        elif code in _LINES:
            self._text(code, self._line(), stack)
        else:
            raise BrokenError(f"has an opcode {code[0]:#04x} that no Python knows")

    def _text(self, code: bytes, line: str, stack: list[object]) -> None:
        """The opcodes of protocol 0, whose argument is a line."""
        if code == op.PUT:
            self._put(_plain_int(line), stack[-1])
        elif code == op.GET:
            stack.append(self._get(_plain_int(line)))
        elif code in (op.INT, op.LONG):
            stack.append(_plain_int(line.removesuffix("L")) if len(line) < 20 else OPAQUE)
        elif code == op.STRING:  # a Python literal; escapes could spell a name, so only plain ones are kept
            plain = line[1:-1]
            stack.append(plain if len(line) > 1 and "\\" not in plain and len(line) < SHORT else OPAQUE)
        elif code == op.UNICODE:
            stack.append(line if "\\" not in line and len(line) < SHORT else OPAQUE)
        else:
            stack.append(OPAQUE)

    def _global(self, module: object, name: object) -> object:
        if not (isinstance(module, str) and isinstance(name, str)):
            self._result.computed.append("imports a name that it computes")
            return OPAQUE
        found = Global(module, name)
        if len(self._result.globals) < _MAX_GLOBALS:
            self._result.globals[found] = None
        elif found not in self._result.globals:
            raise BrokenError(f"imports more than {_MAX_GLOBALS} names")
        return found

    def _called(self, target: object, arguments: object = OPAQUE, *, function: bool = False) -> object:
        """function: anything may be called so; the other opcodes take classes only."""
        if function and isinstance(target, Global):
            self._result.called[target] = None
        if target == _DTYPE and isinstance(arguments, tuple) and arguments:
            return _Dtype(str(arguments[0]))
        if not isinstance(target, Global) and len(self._result.computed) < 100:
            self._result.computed.append("calls something that it computes")
        return OPAQUE

    def _array(self, wrapper: dict[object, object]) -> None:
        """Skips what joblib writes behind an array's description: a pickle of objects, or padding and raw items."""
        self._wrapped = None
        shape, dtype = wrapper.get("shape"), wrapper.get("dtype")
        if not isinstance(shape, tuple) or not isinstance(dtype, _Dtype):
            raise BrokenError("has an array whose size is not told")
        if dtype.code.startswith("O"):
            nested = scan(self._read, self.position, self._size)
            self._result.globals |= nested.globals
            self._result.called |= nested.called
            self._result.computed += nested.computed
            if nested.broken:
                raise BrokenError(nested.broken)
            self._move(nested.end)
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
        return OPAQUE

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


def _tuple(items: list[object]) -> object:
    """Few items are kept, and no tuple in a tuple: nothing grows with what a file nests."""
    if len(items) > _KEPT_ITEMS:
        return OPAQUE
    return tuple(OPAQUE if type(item) is tuple else item for item in items)


def _plain_int(line: str) -> int:
    if len(line) > 20:
        raise ValueError
    return int(line)
