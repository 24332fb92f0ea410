"""What the tests of the command share: finding models, running it, checking how it ends."""
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import unittest

NIBBLE = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "nibble"
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
GEMMA3 = "gemma-3-270m-Q4_K_M.gguf"
SKIPPED = 77


def model_folder():
    if "NIBBLE_MODELS" in os.environ:
        return os.environ["NIBBLE_MODELS"]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "nibble", "models")


def model(name):
    return os.path.join(model_folder(), name)


def skip(reason):
    """Ends the test program; ctest shows it as skipped."""
    print(f"SKIPPED: {reason}")
    sys.exit(SKIPPED)


def require(*models):
    for name in models:
        if not os.path.exists(model(name)):
            skip(f"model {name} is not in the cache; run `make test`")


def run(*args, stdin=b"", env=None, timeout=300, **more):
    """The finished process; stdin None: /dev/null. Output is bytes."""
    given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    given.update(more)
    return subprocess.run([NIBBLE, *args], capture_output="stdout" not in more, timeout=timeout,
                          env={**os.environ, **(env or {})}, **given)


class ToolTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="nibble_test_")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
        return path

    def ok(self, *args, **more):
        """stdout of a run that must end well."""
        done = run(*args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        done.stdout.decode("utf-8")  # only UTF-8 comes out
        return done.stdout

    def refused(self, code, *args, **more):
        """A run that must fail: this code, one error and one hint line, nothing on stdout."""
        done = run(*args, **more)
        lines = done.stderr.decode("utf-8").split("\n")
        self.assertEqual(done.returncode, code, (args, done.stderr))
        self.assertEqual(done.stdout, b"", args)
        self.assertEqual(len(lines), 3, (args, lines))
        self.assertTrue(lines[0].startswith("error: ") and len(lines[0]) > 12, lines)
        self.assertTrue(lines[1].startswith("hint: ") and len(lines[1]) > 10, lines)
        self.assertEqual(lines[2], "")
        return lines[0], lines[1]


def gguf(pairs):
    """A GGUF v3 file with string metadata and no tensors."""
    def text(s):
        return len(s).to_bytes(8, "little") + s.encode()
    out = b"GGUF" + (3).to_bytes(4, "little") + bytes(8) + len(pairs).to_bytes(8, "little")
    for key, value in pairs.items():
        out += text(key) + (8).to_bytes(4, "little") + text(value)
    return out + bytes(-len(out) % 32)


def wait_for_handlers(pid, name=signal.SIGINT):
    """Returns once the process handles the signal, as it does from just before it opens a model."""
    while True:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            caught = next(line for line in status if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) & 1 << (name - 1):
            return


class FullPipe:
    """Standard output that nobody reads: of one page, and full whenever the test says so."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, 4096)

    def wait_for_text(self):
        size = bytearray(4)
        while not int.from_bytes(size, sys.byteorder):
            fcntl.ioctl(self.fd, termios.FIONREAD, size)
            time.sleep(0.01)

    def fill(self):
        try:
            while True:
                os.write(self.fd, b"x")
        except BlockingIOError:
            pass

    def close(self):
        os.close(self.fd)


def with_sampling(source, target):
    """A copy of a model file with sampling settings in front of its metadata that nibble lacks."""
    def text(s):
        return len(s).to_bytes(8, "little") + s
    pairs = text(b"general.sampling.mirostat") + (4).to_bytes(4, "little") + bytes([2, 0, 0, 0])
    pairs += text(b"general.sampling.sequence") + (8).to_bytes(4, "little")
    pairs += text(b"top_k;dry;temperature")
    filler = text(b"general.filler") + (8).to_bytes(4, "little")
    # The whole is a multiple of every usual alignment, so that the tensors stay where they were.
    pairs += filler + text(b"x" * (-len(pairs + filler + text(b"")) % 4096))
    with open(source, "rb") as file, open(target, "wb") as copy:
        copy.write(file.read(16))
        copy.write((int.from_bytes(file.read(8), "little") + 3).to_bytes(8, "little") + pairs)
        shutil.copyfileobj(file, copy, 1 << 20)
    return target


def main():
    unittest.main(argv=sys.argv[:1], verbosity=1)
