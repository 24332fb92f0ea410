"""What all of the package uses: errors, options, values, calls that Ctrl-C can end."""
import ctypes
import enum
import threading
import weakref
from dataclasses import dataclass
from typing import (Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple,
                    TypedDict, TypeVar, Union)

from . import _c

T = TypeVar("T")
O = TypeVar("O", bound="Owner")
OptionValue = Union[str, int, float, bool, Sequence[str]]
Progress = Callable[[int, int], object]


class Message(TypedDict):
    """A message of a conversation; role: "system", "user", "assistant" or "tool"."""

    role: str
    content: str


# A question alone stands for a conversation of one message.
Conversation = Union[str, Iterable[Message]]


class Status(enum.IntEnum):
    BAD_ARGUMENT = -1
    NOT_FOUND = -2
    IO = -3
    BAD_FILE = -4
    UNSUPPORTED = -5
    OUT_OF_MEMORY = -6
    CONTEXT_FULL = -7
    CANCELLED = -8
    BUSY = -9
    BAD_HANDLE = -10
    FORKED = -11
    INTERNAL = -12


class EventKind(enum.IntEnum):
    PROGRESS = 1
    TEXT = 2
    REASONING = 3
    DONE = 4


class Finish(enum.IntEnum):
    STOP = 1
    LENGTH = 2
    CONTEXT = 3
    CANCELLED = 4


class Error(Exception):
    """Why a call failed. str() is the message; hint, which may be "", says what to do about it."""

    def __init__(self, status: Status, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.hint = hint

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (self.status, str(self), self.hint)


@dataclass(frozen=True)
class EnvUsage:
    threads: int
    n_models: int
    n_sessions: int
    file_bytes: int
    bytes: int


@dataclass(frozen=True)
class ModelInfo:
    has_chat_template: bool
    n_params: int
    n_vocab: int
    n_embd: int
    n_ctx_train: int
    file_bytes: int
    description: str


@dataclass(frozen=True)
class Plan:
    """Bytes that a session needs, against those the machine has (-1: not known)."""

    fits: bool
    n_ctx: int
    weights: int
    keys_and_values: int
    scratch: int
    available: int


@dataclass(frozen=True)
class SessionUsage:
    threads: int
    n_ctx: int
    n_used: int
    bytes: int


def version() -> str:
    text: bytes = _c.lib.nibble_version()
    return text.decode()


def values_of(struct: _c.Sized) -> Dict[str, Any]:
    """The members of a C struct, but its size, for the data class that mirrors it."""
    values = {row[0]: getattr(struct, row[0]) for row in struct._fields_[1:]}
    return {k: v.decode("utf-8", "replace") if isinstance(v, bytes) else v
            for k, v in values.items()}


def check(function: Callable[..., int], *args: Any) -> None:
    """Calls with a nibble_error behind the arguments, and raises what it says."""
    error = _c.ErrorStruct()
    status = function(*args, ctypes.byref(error))
    if status != 0:
        raise Error(Status(status), error.message.decode("utf-8", "replace"),
                    error.hint.decode("utf-8", "replace"))


def encode(text: str, what: str) -> bytes:
    """For a C string: without zero bytes. Lone surrogates of file names are the bytes they were."""
    data = text.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise ValueError(f"{what}: a zero byte in the text")
    return data


def option_pairs(options: Mapping[str, OptionValue]) -> List[Tuple[bytes, bytes]]:
    """top_k=40 -> ("top-k", "40"); True: no value, False: not given; a list: once for each."""
    pairs = []
    for name, value in options.items():
        if value is False:
            continue
        several = list(value) if isinstance(value, (list, tuple)) else [value]
        for one in several:
            pairs.append((encode(name.replace("_", "-"), "option"),
                          encode("" if one is True else str(one), name)))
    return pairs


def option_table(options: Mapping[str, OptionValue]) -> Any:
    rows = [_c.Option(*pair) for pair in option_pairs(options)] + [_c.Option(None, None)]
    return (_c.Option * len(rows))(*rows)


def message_table(conversation: Conversation) -> Any:
    messages = ([Message(role="user", content=conversation)] if isinstance(conversation, str)
                else list(conversation))
    rows = [_c.MessageStruct(encode(m["role"], "role"), encode(m["content"], "content"))
            for m in messages]
    return (_c.MessageStruct * len(rows))(*rows)


def take_buffer(call: Callable[[Any], None]) -> bytes:
    buffer = _c.Buffer()
    try:
        call(ctypes.byref(buffer))
        return ctypes.string_at(buffer.data, buffer.size) if buffer.size else b""
    finally:
        _c.lib.nibble_buffer_free(ctypes.byref(buffer))


def interruptible(call: Callable[[], T], cancel: Callable[[], object]) -> T:
    """Runs what may take its time so that Ctrl-C ends it.

    Python looks at signals in the main thread, between two calls of C; so there another thread makes
    the call, and the main thread waits for it. cancel must end the call soon.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    values: List[T] = []
    raised: List[BaseException] = []
    gate = threading.Lock()
    state = {"begun": False, "given up": False}
    ended = threading.Event()  # not join(): one that is interrupted takes the thread for ended

    def run() -> None:
        with gate:
            state["begun"] = not state["given up"]
        if state["begun"]:
            try:
                values.append(call())
            except BaseException as error:  # goes on in the thread that waits
                raised.append(error)
        ended.set()

    try:
        threading.Thread(target=run, name="nibble", daemon=True).start()
        ended.wait()
    except BaseException:
        with gate:
            state["given up"] = True
        cancel()
        while state["begun"] and not ended.is_set():
            try:
                ended.wait()
            except KeyboardInterrupt:  # pressed again; it is being stopped
                pass
        raise
    if raised:
        raise raised[0]
    return values[0]


class Listener:
    """A Python function as nibble_on_event; what it raises stops the call and comes out of it."""

    def __init__(self, progress: Optional[Progress]) -> None:
        self.raised: Optional[BaseException] = None
        self.c = _c.OnEvent() if progress is None else _c.OnEvent(self._call)
        self._progress = progress

    def _call(self, event: Any, _user: Any) -> int:
        if self.raised is not None or self._progress is None:
            return 1
        try:
            if event.contents.kind == EventKind.PROGRESS:
                self._progress(event.contents.done, event.contents.total)
            return 0
        except BaseException as error:
            self.raised = error
            return 1

    def check(self, function: Callable[..., int], *args: Any) -> None:
        try:
            check(function, *args)
        except Error:
            if self.raised is None:
                raise
        if self.raised is not None:
            raise self.raised


class Owner:
    """Something with a handle that close(), the end of a `with` or the collector gives back."""

    def __init__(self, handle: Any, free: Callable[[Any], int]) -> None:
        self._handle = handle
        self._finalizer = weakref.finalize(self, free, handle)

    def close(self) -> None:
        """Frees it now. What others still need of it stays until they are closed."""
        self._finalizer()

    def __enter__(self: O) -> O:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
