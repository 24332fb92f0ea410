"""nibble runs quantized language models on the CPU, in your process.

    import nibble

    with nibble.Model("model.gguf") as model, model.session(temp=0) as session:
        for piece in session.chat("Why is the sky blue?"):
            print(piece, end="", flush=True)

Options are keywords, spelled as the options of the `nibble` command with underscores: top_k=40,
ctx_size=4096, stop=["END"]. What fails raises nibble.Error. Ctrl-C, and the stop button of a
notebook, cancel what runs; a session can be used again afterwards.
"""
from ._env import Env, convert, inspect, quantize, verify
from ._model import Model
from ._session import Event, Result, Session, Stream
from ._support import (EnvUsage, Error, EventKind, Finish, Message, ModelInfo, Plan, SessionUsage,
                       Status, version)

__version__ = version()
__all__ = ["Env", "EnvUsage", "Error", "Event", "EventKind", "Finish", "Message", "Model",
           "ModelInfo", "Plan", "Result", "Session", "SessionUsage", "Status", "Stream", "convert",
           "inspect", "quantize", "verify", "version"]
