"""Environments, and the jobs that take a file and leave nothing open."""
import ctypes
import json
import logging
import os
import threading
from typing import Any, Callable, Dict, Optional, Union

from . import _c
from ._support import (EnvUsage, Listener, OptionValue, Owner, Progress, check, encode,
                       interruptible, option_table, take_buffer, values_of)

Path = Union[str, "os.PathLike[str]"]
_logger = logging.getLogger("nibble")


def _write_log(sentence: bytes, _user: Any) -> None:
    _logger.warning("%s", sentence.decode("utf-8", "replace"))


_on_log = _c.OnLog(_write_log)  # lives as long as the process, as models may


class Env(Owner):
    """What models share: a budget of threads (threads=0, the default: what suits the machine).

    Without one, models share the process's own, which is made when it is first needed. What a user
    may want to know and no error says goes to the logger "nibble".
    """

    def __init__(self, **options: OptionValue) -> None:
        handle = ctypes.c_void_p()
        check(_c.lib.nibble_env_create, option_table(options), ctypes.byref(handle))
        super().__init__(handle, _c.lib.nibble_env_free)
        check(_c.lib.nibble_env_set_log, handle, _on_log, None)

    def usage(self) -> EnvUsage:
        usage = _c.EnvUsageStruct()
        check(_c.lib.nibble_env_get_usage, self._handle, ctypes.byref(usage))
        return EnvUsage(**values_of(usage))


_lock = threading.Lock()
_default: Optional[Env] = None


def default_env() -> Env:
    global _default
    with _lock:
        if _default is None:
            _default = Env()
        return _default


def _after_fork() -> None:
    """The handles of the parent are its own; a child may begin anew."""
    global _default, _lock
    _lock = threading.Lock()
    if _default is not None:
        _default._finalizer.detach()
        _default = None


os.register_at_fork(after_in_child=_after_fork)


def run_job(env: Env, progress: Optional[Progress], call: Callable[..., int], *args: Any,
            out: Any = None) -> None:
    """A function of C with a nibble_job behind args; out: a pointer behind that."""
    cancel = ctypes.c_void_p()
    check(_c.lib.nibble_cancel_create, env._handle, ctypes.byref(cancel))
    listener = Listener(progress)
    job = _c.Job()
    job.on_event, job.cancel = listener.c, cancel
    behind = [] if out is None else [out]
    try:
        interruptible(lambda: listener.check(call, *args, ctypes.byref(job), *behind),
                      lambda: _c.lib.nibble_cancel_request(cancel))
    finally:
        _c.lib.nibble_cancel_free(cancel)


def encode_path(path: Path) -> bytes:
    return encode(os.fspath(path), "path")


def inspect(path: Path, *, env: Optional[Env] = None, **options: OptionValue) -> Dict[str, Any]:
    """What there is to know about a model file, also one that does not run here ("runs", "problem").
    Options: full=True (every item of long arrays), ctx_size (of the memory plan), isa."""
    env = env or default_env()
    text = take_buffer(lambda out: check(_c.lib.nibble_inspect, env._handle, encode_path(path),
                                         option_table(options), out))
    value: Dict[str, Any] = json.loads(text)
    return value


def verify(path: Path, *, env: Optional[Env] = None,
           progress: Optional[Progress] = None) -> None:
    """Is every byte of a model file what was written? Raises Error, which names what is damaged."""
    env = env or default_env()
    run_job(env, progress, _c.lib.nibble_verify, env._handle, encode_path(path))


def quantize(source: Path, target: Path, type: str, *, env: Optional[Env] = None,
             progress: Optional[Progress] = None, **options: OptionValue) -> None:
    """Writes source with weights of a smaller type ("Q4_K_M", "NF4" ...)."""
    env = env or default_env()
    run_job(env, progress, _c.lib.nibble_quantize, env._handle, encode_path(source),
            encode_path(target), encode(type, "type"), option_table(options))


def convert(source: Path, target: Path, *, env: Optional[Env] = None,
            progress: Optional[Progress] = None, **options: OptionValue) -> None:
    """Writes a GGUF file from a Hugging Face folder or a file of another format, or back."""
    env = env or default_env()
    run_job(env, progress, _c.lib.nibble_convert, env._handle, encode_path(source),
            encode_path(target), option_table(options))
