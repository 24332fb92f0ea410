"""nibble.h for ctypes: its structs and functions, and nothing else. tests/ compare it with the header.

ctypes releases the interpreter's lock for the time of each call.
"""
import ctypes
import os
from ctypes import (CFUNCTYPE, POINTER, Structure, c_char, c_char_p, c_double, c_float, c_int,
                    c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p)
from typing import Any, Dict, List, Tuple

ABI = 1


class Sized(Structure):
    """A struct that begins with its size."""

    def __init__(self) -> None:
        super().__init__()
        self.size = ctypes.sizeof(self)


class ErrorStruct(Sized):
    _fields_ = [("size", c_uint32), ("status", c_int32), ("message", c_char * 1016),
                ("hint", c_char * 504)]


class Option(Structure):
    _fields_ = [("name", c_char_p), ("value", c_char_p)]


class Buffer(Structure):
    _fields_ = [("data", c_void_p), ("size", c_size_t)]


class ResultStruct(Sized):
    _fields_ = [("size", c_uint32), ("finish", c_int32), ("n_prompt", c_int64),
                ("n_reused", c_int64), ("n_generated", c_int64), ("dropped_messages", c_int64),
                ("dropped_tokens", c_int64), ("prompt_seconds", c_double),
                ("generate_seconds", c_double)]


class EventStruct(Sized):
    _fields_ = [("size", c_uint32), ("kind", c_int32), ("text", c_void_p), ("text_size", c_size_t),
                ("done", c_uint64), ("total", c_uint64), ("result", POINTER(ResultStruct))]


class EnvUsageStruct(Sized):
    _fields_ = [("size", c_uint32), ("threads", c_int32), ("n_models", c_int64),
                ("n_sessions", c_int64), ("file_bytes", c_int64), ("bytes", c_int64)]


class ModelInfoStruct(Sized):
    _fields_ = [("size", c_uint32), ("has_chat_template", c_int32), ("n_params", c_int64),
                ("n_vocab", c_int64), ("n_embd", c_int64), ("n_ctx_train", c_int64),
                ("file_bytes", c_int64), ("description", c_char * 128)]


class PlanStruct(Sized):
    _fields_ = [("size", c_uint32), ("fits", c_int32), ("n_ctx", c_int64), ("weights", c_int64),
                ("keys_and_values", c_int64), ("scratch", c_int64), ("available", c_int64)]


class SessionUsageStruct(Sized):
    _fields_ = [("size", c_uint32), ("threads", c_int32), ("n_ctx", c_int64), ("n_used", c_int64),
                ("bytes", c_int64)]


class EmbeddingsStruct(Sized):
    _fields_ = [("size", c_uint32), ("n_dims", c_int64), ("n_rows", c_int64),
                ("values", POINTER(c_float)), ("first_row", POINTER(c_int64))]


class MessageStruct(Structure):
    _fields_ = [("role", c_char_p), ("content", c_char_p)]


OnEvent = CFUNCTYPE(c_int, POINTER(EventStruct), c_void_p)
OnLog = CFUNCTYPE(None, c_char_p, c_void_p)


class Job(Sized):
    _fields_ = [("size", c_uint32), ("on_event", OnEvent), ("user", c_void_p),
                ("cancel", c_void_p)]


STRUCTS = {
    "nibble_error": ErrorStruct, "nibble_option": Option, "nibble_buffer": Buffer,
    "nibble_result": ResultStruct, "nibble_event": EventStruct, "nibble_job": Job,
    "nibble_env_usage": EnvUsageStruct, "nibble_model_info": ModelInfoStruct,
    "nibble_plan": PlanStruct, "nibble_session_usage": SessionUsageStruct,
    "nibble_message": MessageStruct, "nibble_embeddings": EmbeddingsStruct,
}

_Handle = c_void_p
_New = POINTER(c_void_p)
_Error = POINTER(ErrorStruct)
_Options = POINTER(Option)
_Messages = POINTER(MessageStruct)
_Tokens = POINTER(c_int32)
_Size = POINTER(c_size_t)

# name: (what it gives, what it takes), in the header's order
FUNCTIONS: Dict[str, Tuple[Any, List[Any]]] = {
    "nibble_version": (c_char_p, []),
    "nibble_abi": (c_uint32, []),
    "nibble_buffer_free": (None, [POINTER(Buffer)]),
    "nibble_env_create": (c_int, [_Options, _New, _Error]),
    "nibble_env_set_log": (c_int, [_Handle, OnLog, c_void_p, _Error]),
    "nibble_env_get_usage": (c_int, [_Handle, POINTER(EnvUsageStruct), _Error]),
    "nibble_env_free": (c_int, [_Handle]),
    "nibble_cancel_create": (c_int, [_Handle, _New, _Error]),
    "nibble_cancel_request": (c_int, [_Handle]),
    "nibble_cancel_free": (c_int, [_Handle]),
    "nibble_inspect": (c_int, [_Handle, c_char_p, _Options, POINTER(Buffer), _Error]),
    "nibble_verify": (c_int, [_Handle, c_char_p, POINTER(Job), _Error]),
    "nibble_quantize": (c_int, [_Handle, c_char_p, c_char_p, c_char_p, _Options, POINTER(Job),
                                _Error]),
    "nibble_convert": (c_int, [_Handle, c_char_p, c_char_p, _Options, POINTER(Job), _Error]),
    "nibble_model_open": (c_int, [_Handle, c_char_p, _Options, POINTER(Job), _New, _Error]),
    "nibble_model_free": (c_int, [_Handle]),
    "nibble_model_get_info": (c_int, [_Handle, POINTER(ModelInfoStruct), _Error]),
    "nibble_model_get_metadata": (c_int, [_Handle, c_char_p, POINTER(Buffer), _Error]),
    "nibble_model_plan": (c_int, [_Handle, _Options, POINTER(PlanStruct), _Error]),
    "nibble_tokenize": (c_int, [_Handle, c_char_p, c_size_t, c_uint32, _Tokens, c_size_t, _Size,
                                _Error]),
    "nibble_detokenize": (c_int, [_Handle, _Tokens, c_size_t, c_uint32, POINTER(Buffer), _Error]),
    "nibble_chat_render": (c_int, [_Handle, _Messages, c_size_t, POINTER(Buffer), _Error]),
    "nibble_count_tokens": (c_int, [_Handle, _Messages, c_size_t, _Size, _Error]),
    "nibble_session_create": (c_int, [_Handle, _Options, _New, _Error]),
    "nibble_session_fork": (c_int, [_Handle, _New, _Error]),
    "nibble_session_free": (c_int, [_Handle]),
    "nibble_session_set": (c_int, [_Handle, c_char_p, c_char_p, _Error]),
    "nibble_session_get_usage": (c_int, [_Handle, POINTER(SessionUsageStruct), _Error]),
    "nibble_session_rewind": (c_int, [_Handle, c_int64, _Error]),
    "nibble_session_save": (c_int, [_Handle, c_char_p, _Error]),
    "nibble_session_load": (c_int, [_Handle, c_char_p, _Error]),
    "nibble_session_cancel": (c_int, [_Handle]),
    "nibble_chat_begin": (c_int, [_Handle, _Messages, c_size_t, _Error]),
    "nibble_complete_begin": (c_int, [_Handle, c_char_p, c_size_t, _Error]),
    "nibble_next": (c_int, [_Handle, POINTER(EventStruct), _Error]),
    "nibble_evaluate": (c_int, [_Handle, _Tokens, c_size_t, OnEvent, c_void_p, _Error]),
    "nibble_logits": (c_int, [_Handle, POINTER(POINTER(c_float)), _Size, _Error]),
    "nibble_sample": (c_int, [_Handle, POINTER(c_int32), _Error]),
    "nibble_embed": (c_int, [_Handle, POINTER(c_char_p), c_size_t, _Options, POINTER(Job),
                             POINTER(EmbeddingsStruct), _Error]),
    "nibble_embeddings_free": (None, [POINTER(EmbeddingsStruct)]),
}


def _load() -> ctypes.CDLL:
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib", f"libnibble.so.{ABI}")
    # Without one of its own, as a distribution would package it: the system's.
    library = ctypes.CDLL(beside if os.path.exists(beside) else os.path.basename(beside))
    for name, (gives, takes) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = gives, takes
    if library.nibble_abi() != ABI:
        raise ImportError(f"libnibble: expected ABI {ABI}, got {library.nibble_abi()}")
    return library


lib = _load()
