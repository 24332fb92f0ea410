#!/usr/bin/env python3
"""What the command says about bad input: nothing on stdout, one error line that names the thing, one
hint line, the documented exit code. `bad_input_test.py NIBBLE`; the cases that need a real model are
left out, loudly, where the cache has none."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

NIBBLE = Path(sys.argv.pop(1)).resolve()
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
MODEL = Path(os.environ.get("NIBBLE_MODELS") or CACHE / "nibble" / "models",
             "SmolLM2-135M-Instruct.Q4_1.gguf")

USAGE, MODEL_ERROR, CONTEXT = 2, 3, 5


def gguf(version=3, tensors=0, keys=()):
    """A GGUF file: keys are (name, type number, bytes of the value)."""
    out = b"GGUF" + struct.pack("<IQQ", version, tensors, len(keys))
    for name, kind, value in keys:
        out += struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value
    return out


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


# name -> (content, what the error line must contain besides the file's name)
FILES = {
    "empty.gguf": (b"", ""),
    "short.gguf": (b"GGU", ""),
    "header.gguf": (b"GGUF\x03\0\0\0", ""),
    "picture.gguf": (b"\x89PNG\r\n\x1a\n" + bytes(64), ""),
    "archive.gguf": (b"PK\x03\x04" + bytes(64), ""),
    "words.gguf": (b"Once upon a time there was a file that was no model.\n", ""),
    "version9.gguf": (gguf(version=9), "9"),
    "million-keys.gguf": (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), ""),
    "no-architecture.gguf": (gguf(), "general.architecture"),
    "unknown-architecture.gguf": (
        gguf(keys=[("general.architecture", 8, text("mamba9"))]), "mamba9"),
}

COMMANDS = {
    "run": ["run", "{}", "Hello"],
    "chat": ["chat", "-m", "{}"],
    "tokenize": ["tokenize", "-m", "{}", "Hello"],
    "logits": ["logits", "-m", "{}", "-p", "Hello", "--top", "3"],
    "perplexity": ["perplexity", "-m", "{}", "-f", __file__, "-c", "64"],
    "bench": ["bench", "-m", "{}", "-p", "8", "-n", "2", "-r", "1"],
}


class CommandCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Path(tempfile.mkdtemp())
        for name, (content, _) in FILES.items():
            (cls.work / name).write_bytes(content)
        (cls.work / "folder.gguf").mkdir()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.work)

    def assert_refused(self, args, code, *named):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.work), "LC_ALL": "C.UTF-8"}
        done = subprocess.run([NIBBLE, *args], env=env, input=b"", capture_output=True, check=False,
                              timeout=120)
        said = done.stderr.decode()
        shown = f"nibble {' '.join(map(str, args))}: exit {done.returncode}, stderr: {said!r}"
        self.assertEqual(done.returncode, code, shown)
        self.assertEqual(done.stdout, b"", shown)
        self.assertEqual([line.split(":")[0] for line in said.splitlines()], ["error", "hint"], shown)
        for word in named:
            self.assertIn(word, said.splitlines()[0], shown)

    def assert_file_refused(self, name, *named):
        for command, args in COMMANDS.items():
            with self.subTest(command=command, file=name):
                path = str(self.work / name)
                # `tokenize` needs a vocabulary only, so it does not ask for the architecture.
                words = [] if command == "tokenize" else named
                self.assert_refused([a.replace("{}", path) for a in args], MODEL_ERROR, name, *words)


class BadInputTest(CommandCase):
    def test_files_that_are_no_models(self):
        for name, (_, named) in FILES.items():
            self.assert_file_refused(name, named)

    def test_no_such_file(self):
        self.assert_file_refused("absent.gguf")

    def test_a_folder(self):
        self.assert_file_refused("folder.gguf")

    def test_inspect(self):
        for name in ["empty.gguf", "picture.gguf", "million-keys.gguf", "absent.gguf", "folder.gguf"]:
            with self.subTest(file=name):
                self.assert_refused(["inspect", str(self.work / name)], MODEL_ERROR, name)

    def test_flags(self):
        run = ["run", str(self.work / "empty.gguf"), "Hello"]
        for flags, named in [
                (["--temp", "hot"], "hot"), (["--temp", "nan"], "nan"), (["--top-p", "-1"], "-1"),
                (["-c", "-5"], "-5"), (["-c", "99999999999999999999"], "9999"), (["-t", "x"], "x"),
                (["-n"], "--predict"), (["--samplers", "nonsense"], "nonsense"),
                (["--logit-bias", "5"], "5"), (["-ctk", "q7"], "q7"),
                (["--no-such-flag"], "--no-such-flag")]:
            with self.subTest(flags=flags):
                self.assert_refused(run + flags, USAGE, named)

    def test_commands(self):
        self.assert_refused(["conjure"], USAGE, "conjure")
        self.assert_refused(["--conjure"], USAGE, "--conjure")
        self.assert_refused(["run"], USAGE)


@unittest.skipUnless(MODEL.is_file(), "SKIPPED: the default model is not in the cache")
class BadInputWithModelTest(CommandCase):
    def test_flags(self):
        self.assert_refused(["run", MODEL, "Hello", "--isa", "sse9"], USAGE, "sse9")

    def test_prompt_over_the_context(self):
        self.assert_refused(["run", MODEL, "one two three " * 50, "-c", "32"], CONTEXT, "32")

    def test_tokens_out_of_range(self):
        for tokens in ["1,2,999999", "-1", "1,,2", "x"]:
            with self.subTest(tokens=tokens):
                self.assert_refused(["logits", "-m", MODEL, f"--tokens={tokens}", "--top", "1"], USAGE)

    def test_truncated_model(self):
        with open(MODEL, "rb") as model:
            start = model.read(4 << 20)
        for size in [100, 70_000, len(start)]:
            (self.work / "cut.gguf").write_bytes(start[:size])
            self.assert_file_refused("cut.gguf")

    def test_output_that_cannot_be_written(self):
        self.assert_refused(["logits", "-m", MODEL, "--tokens", "1,2", "-o",
                             str(self.work / "absent" / "out.npy")], 1, "out.npy")
        self.assertEqual(list(self.work.glob("**/out.npy*")), [])


if __name__ == "__main__":
    if not MODEL.is_file():
        print("SKIPPED: bad input with a real model: it is not in the cache")
    unittest.main()
