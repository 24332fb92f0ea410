"""Opened model files."""
import ctypes
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

from . import _c
from ._env import Env, Path, default_env, encode_path, run_job
from ._support import (Conversation, Error, ModelInfo, OptionValue, Owner, Plan, Progress, Status,
                       check, encode, message_table, option_table, take_buffer, values_of)

if TYPE_CHECKING:
    import numpy

    from ._session import Session

    Vectors = numpy.ndarray[Any, numpy.dtype[numpy.float32]]

_ADD_SPECIAL, _PARSE_SPECIAL, _SHOW_SPECIAL = 1, 2, 4


class Model(Owner):
    """A model file. It does not change, and any number of threads and sessions use it.

    progress(done, total) is called with bytes. Options: threads, isa, no_repack=True,
    no_mmap=True (read the file into memory, for drives that come and go).
    """

    def __init__(self, path: Path, *, env: Optional[Env] = None,
                 progress: Optional[Progress] = None, **options: OptionValue) -> None:
        env = env or default_env()
        handle = ctypes.c_void_p()
        run_job(env, progress, _c.lib.nibble_model_open, env._handle, encode_path(path),
                option_table(options), out=ctypes.byref(handle))
        super().__init__(handle, _c.lib.nibble_model_free)
        self._env = env

    @property
    def info(self) -> ModelInfo:
        info = _c.ModelInfoStruct()
        check(_c.lib.nibble_model_get_info, self._handle, ctypes.byref(info))
        values = values_of(info)
        values["has_chat_template"] = bool(values["has_chat_template"])
        return ModelInfo(**values)

    def metadata(self, key: str) -> Optional[str]:
        """A value of the file's metadata ("general.name") as text; None where it has no such key."""
        try:
            value = take_buffer(lambda out: check(
                _c.lib.nibble_model_get_metadata, self._handle, encode(key, "key"), out))
        except Error as error:
            if error.status != Status.NOT_FOUND:
                raise
            return None
        return value.decode("utf-8", "replace")

    def plan(self, **options: OptionValue) -> Plan:
        """The memory that a session with these options needs."""
        plan = _c.PlanStruct()
        check(_c.lib.nibble_model_plan, self._handle, option_table(options), ctypes.byref(plan))
        values = values_of(plan)
        values["fits"] = bool(values["fits"])
        return Plan(**values)

    def tokenize(self, text: str, *, add_special: bool = False,
                 parse_special: bool = False) -> List[int]:
        """parse_special: "<|im_end|>" is that token. Never for what a user typed."""
        data = text.encode("utf-8")
        flags = _ADD_SPECIAL * add_special + _PARSE_SPECIAL * parse_special
        n = ctypes.c_size_t(len(data) + 8)
        while True:
            capacity = n.value
            tokens = (ctypes.c_int32 * capacity)()
            check(_c.lib.nibble_tokenize, self._handle, data, len(data), flags, tokens, capacity,
                  ctypes.byref(n))
            if n.value <= capacity:
                return tokens[:n.value]

    def detokenize(self, tokens: Sequence[int], *, show_special: bool = False) -> bytes:
        """Bytes, since tokens may end inside a code point."""
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        return take_buffer(lambda out: check(
            _c.lib.nibble_detokenize, self._handle, array, len(array),
            _SHOW_SPECIAL * show_special, out))

    def render(self, conversation: Conversation) -> str:
        """The prompt that a chat evaluates, through the model's own template."""
        table = message_table(conversation)
        prompt = take_buffer(lambda out: check(
            _c.lib.nibble_chat_render, self._handle, table, len(table), out))
        return prompt.decode("utf-8", "replace")

    def count_tokens(self, conversation: Conversation) -> int:
        """Tokens of that prompt."""
        table = message_table(conversation)
        n = ctypes.c_size_t()
        check(_c.lib.nibble_count_tokens, self._handle, table, len(table), ctypes.byref(n))
        return n.value

    def embed(self, texts: Sequence[str], *, progress: Optional[Progress] = None,
              **options: OptionValue) -> "Vectors":
        """Texts as vectors, [len(texts), dims]: a numpy array; where numpy is not installed, a list
        of memoryviews of floats. Options: pooling ("mean", "cls", "last"; else as the file says), dims
        (the first so many numbers), no_normalize=True, truncate=True, threads. progress counts
        texts."""
        if options.get("pooling") == "none":
            raise ValueError("pooling: a vector for each token is what embed_tokens() gives")
        if isinstance(texts, str):
            raise TypeError("texts: expected a list of texts, got one")
        return self._embed(texts, progress, options)[0]

    def embed_tokens(self, texts: Sequence[str], *, progress: Optional[Progress] = None,
                     **options: OptionValue) -> "List[Vectors]":
        """A vector for each token: as embed() gives them, [tokens, dims] for each text."""
        if isinstance(texts, str):
            raise TypeError("texts: expected a list of texts, got one")
        rows, first = self._embed(texts, progress, {**options, "pooling": "none"})
        return [rows[a:b] for a, b in zip(first, first[1:])]

    def _embed(self, texts: Sequence[str], progress: Optional[Progress],
               options: Dict[str, OptionValue]) -> "Tuple[Vectors, List[int]]":
        got = _c.EmbeddingsStruct()
        table = (ctypes.c_char_p * len(texts))(*[encode(text, "texts") for text in texts])
        try:
            run_job(self._env, progress, _c.lib.nibble_embed, self._handle, table, len(texts),
                    option_table(options), out=ctypes.byref(got))
            size = got.n_rows * got.n_dims * ctypes.sizeof(ctypes.c_float)
            copy = bytearray(ctypes.string_at(got.values, size) if size else b"")
            first = got.first_row[:len(texts) + 1]
            shape = (got.n_rows, got.n_dims)
        finally:
            _c.lib.nibble_embeddings_free(ctypes.byref(got))
        try:
            import numpy
        except ImportError:
            floats = memoryview(copy).cast("f")
            rows = [floats[i:i + shape[1]] for i in range(0, shape[0] * shape[1], shape[1])]
            return rows, first  # type: ignore[return-value]
        return numpy.frombuffer(copy, dtype=numpy.float32).reshape(shape), first

    def session(self, **options: OptionValue) -> "Session":
        """A new session. Options: ctx_size, threads, batch_size, cache_type_k, cache_type_v, and
        those of Session.set."""
        from ._session import Session
        return Session(self, **options)

    def __repr__(self) -> str:
        if not self._finalizer.alive:
            return "<nibble.Model, closed>"
        return f"<nibble.Model {self.info.description}, {self.info.file_bytes / 1e6:.0f} MB>"
