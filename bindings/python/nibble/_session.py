"""Sessions and what they generate."""
import asyncio
import ctypes
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, AsyncIterator, Iterator, List, Optional, Sequence

from . import _c
from ._env import Path, encode_path
from ._model import Model
from ._support import (Conversation, Error, EventKind, Finish, Listener, OptionValue, Owner,
                       Progress, SessionUsage, Status, check, interruptible, message_table, option_pairs,
                       option_table, values_of)

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True)
class Result:
    """What a generation came to. n_reused of the n_prompt tokens were not evaluated again."""

    finish: Finish
    n_prompt: int
    n_reused: int
    n_generated: int
    dropped_messages: int
    dropped_tokens: int
    prompt_seconds: float
    generate_seconds: float


@dataclass(frozen=True)
class Event:
    """text is of TEXT and REASONING, done and total are of PROGRESS, result is of DONE."""

    kind: EventKind
    text: str = ""
    done: int = 0
    total: int = 0
    result: Optional[Result] = None


class Stream(Iterator[str]):
    """An answer as it comes: iterate over its pieces of text, with `for` or `async for`.

    Leaving early is fine. events() gives everything, text() the rest of the answer at once;
    `result` is there after the end. A session has one stream at a time: another use of it ends this
    one.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._answers = False
        self._reasoning: List[str] = []
        self.result: Optional[Result] = None

    @property
    def reasoning(self) -> str:
        """What the model thought before it answered, so far."""
        return "".join(self._reasoning)

    def _step(self) -> Event:
        event = _c.EventStruct()
        with self._session._use():  # until what it points at is copied
            check(_c.lib.nibble_next, self._session._handle, ctypes.byref(event))
            text = ctypes.string_at(event.text, event.text_size).decode("utf-8", "replace")
            values = values_of(event.result.contents) if event.result else {}
        kind = EventKind(event.kind)
        if kind == EventKind.DONE:
            values["finish"] = Finish(values["finish"])
            self.result = Result(**values)
        elif kind == EventKind.REASONING:
            self._reasoning.append(text)
        return Event(kind, text, event.done, event.total, self.result)

    def _next_event(self) -> Optional[Event]:
        if self.result is not None:
            return None
        if self._answers:  # one token, which is short
            return self._step()
        event = interruptible(self._step, self._session.cancel)
        self._answers = event.kind != EventKind.PROGRESS or event.done == event.total
        return event

    def events(self) -> Iterator[Event]:
        """Everything: PROGRESS of the prompt, TEXT and REASONING, and DONE."""
        event = self._next_event()
        while event is not None:
            if event.text or event.kind in (EventKind.PROGRESS, EventKind.DONE):
                yield event
            event = self._next_event()

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> str:
        for event in self.events():
            if event.kind == EventKind.TEXT:
                return event.text
        raise StopIteration

    def text(self) -> str:
        """What is left of the answer, as one text."""
        return "".join(self)

    async def __aiter__(self) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        while True:
            piece = loop.run_in_executor(None, next, self, None)
            try:
                text = await asyncio.shield(piece)
            except asyncio.CancelledError:
                self._session.cancel()
                await asyncio.wait([piece])
                raise
            if text is None:
                return
            yield text


class Session(Owner):
    """A text that grows, and what the model remembers of it. One thread at a time uses it: others
    get an Error with Status.BUSY; only cancel() and close() act at once."""

    def __init__(self, model: Model, **options: OptionValue) -> None:
        handle = ctypes.c_void_p()
        check(_c.lib.nibble_session_create, model._handle, option_table(options),
              ctypes.byref(handle))
        self._adopt(handle)

    def _adopt(self, handle: Any) -> None:
        Owner.__init__(self, handle, _c.lib.nibble_session_free)
        self._lock = threading.Lock()
        self._lends = True

    @contextmanager
    def _use(self, lends: bool = True) -> Iterator[None]:
        """For one call, and for what it lends until the next: events and logits are copied inside."""
        if not self._lock.acquire(blocking=False):
            raise Error(Status.BUSY, "session: another call uses it")
        self._lends = lends
        try:
            yield
        finally:
            self._lends = True
            self._lock.release()

    def close(self) -> None:
        """Frees it now, also while another thread uses it: that call ends as cancelled."""
        if not self._lends:  # from a progress function; the library waits for the call's end itself
            self._finalizer()
            return
        self.cancel()
        with self._lock:
            self._finalizer()

    def fork(self) -> "Session":
        """A second session that goes on from here; what both remember is kept once."""
        handle = ctypes.c_void_p()
        with self._use():
            check(_c.lib.nibble_session_fork, self._handle, ctypes.byref(handle))
        copy = Session.__new__(Session)
        copy._adopt(handle)
        return copy

    def set(self, **options: OptionValue) -> None:
        """temp, top_k, top_p, min_p, typical, repeat_penalty, repeat_last_n, presence_penalty,
        frequency_penalty, logit_bias, samplers, seed, predict, stop ("" removes all), overflow
        ("error" or "drop"), reserve."""
        with self._use():
            for name, value in option_pairs(options):
                check(_c.lib.nibble_session_set, self._handle, name, value)

    def usage(self) -> SessionUsage:
        usage = _c.SessionUsageStruct()
        with self._use():
            check(_c.lib.nibble_session_get_usage, self._handle, ctypes.byref(usage))
        return SessionUsage(**values_of(usage))

    def rewind(self, n_tokens: int) -> None:
        """Forgets all but the first n_tokens."""
        with self._use():
            check(_c.lib.nibble_session_rewind, self._handle, n_tokens)

    def save(self, path: Path) -> None:
        """Writes what the session remembers to a file, which appears whole or not at all."""
        with self._use():
            check(_c.lib.nibble_session_save, self._handle, encode_path(path))

    def load(self, path: Path) -> None:
        """Makes the session what was saved, by a session of the same model file."""
        with self._use():
            check(_c.lib.nibble_session_load, self._handle, encode_path(path))

    def cancel(self) -> None:
        """From any thread: what runs ends within 50 ms as a rule, and its result says CANCELLED."""
        _c.lib.nibble_session_cancel(self._handle)

    def chat(self, conversation: Conversation) -> Stream:
        """Answers a question, or a conversation given whole each time: what is known of it is not
        evaluated again."""
        table = message_table(conversation)
        with self._use():
            check(_c.lib.nibble_chat_begin, self._handle, table, len(table))
        return Stream(self)

    def complete(self, text: str) -> Stream:
        """Goes on with a text, without a template."""
        data = text.encode("utf-8")
        with self._use():
            check(_c.lib.nibble_complete_begin, self._handle, data, len(data))
        return Stream(self)

    def evaluate(self, tokens: Sequence[int], *, progress: Optional[Progress] = None) -> None:
        """Makes the session's text these tokens, for programs that choose tokens themselves."""
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        listener = Listener(progress)

        def evaluate() -> None:
            with self._use(lends=False):
                listener.check(_c.lib.nibble_evaluate, self._handle, array, len(array), listener.c,
                               None)

        interruptible(evaluate, self.cancel)

    def logits(self) -> "numpy.ndarray[Any, numpy.dtype[numpy.float32]]":
        """What the model gives the next token: a float for each of the vocabulary, copied. A numpy
        array; where numpy is not installed, a memoryview of floats."""
        data, n = ctypes.POINTER(ctypes.c_float)(), ctypes.c_size_t()
        with self._use():
            check(_c.lib.nibble_logits, self._handle, ctypes.byref(data), ctypes.byref(n))
            copy = bytearray(ctypes.string_at(data, n.value * ctypes.sizeof(ctypes.c_float)))
        try:
            import numpy
        except ImportError:
            return memoryview(copy).cast("f")  # type: ignore[return-value]
        return numpy.frombuffer(copy, dtype=numpy.float32)

    def sample(self) -> int:
        """A token chosen from them as the session's options say. It is not evaluated."""
        token = ctypes.c_int32()
        with self._use():
            check(_c.lib.nibble_sample, self._handle, ctypes.byref(token))
        return token.value

    def __repr__(self) -> str:
        return "<nibble.Session>" if self._finalizer.alive else "<nibble.Session, closed>"
