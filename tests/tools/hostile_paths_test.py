"""Paths that are no good: what is read or written is a pipe, a device, a folder, or the other of the two.
Refused at once and by name, and nothing is written."""
import os
import shutil

from support import SMOLLM2, ToolTest, main, model, require, run

require(SMOLLM2)
M = model(SMOLLM2)
READERS = {  # the model in place of None
    "quantize": [None, "out.gguf", "Q4_0"], "pack": [None, "out.gguf"],
    "convert": [None, "out.gguf"], "archive": [None, "out.zst"], "split": [None, "out"],
    "merge": [None, "out.gguf"], "verify": [None], "inspect": [None], "embed": [None, "hello"],
    "imatrix": ["-m", None, "-f", M, "-o", "out.gguf"], "compare": [M, None], "run": [None, "hello"],
}
WRITERS = {
    "quantize": [M, None, "Q4_0", "--allow-requantize", "--no-card"], "pack": [M, None],
    "convert": [M, None], "archive": [M, None],
    "imatrix": ["-m", M, "-f", os.path.join(os.path.dirname(__file__), "..", "..", "LICENSE"),
                "-c", "128", "-o", None],
    "logits": ["-m", M, "--tokens", "1", "-o", None],
}


class HostilePaths(ToolTest):
    def specials(self):
        fifo, folder = self.path("fifo"), self.path("folder")
        os.mkfifo(fifo)
        os.mkdir(folder)
        return {fifo: "a pipe", "/dev/zero": "a device", "/dev/null": "a device", folder: "a folder"}

    def given(self, command, template, path):
        """The command line, its output in the test's folder."""
        line = [path if word is None else word for word in template]
        return [command, *(self.path(word) if word.startswith("out") else word for word in line)]

    def test_inputs_that_are_no_files(self):
        for path, kind in self.specials().items():
            for command, template in READERS.items():
                wanted = kind
                if command == "convert" and kind == "a folder":
                    wanted = "model.safetensors"  # which is what it looks for there
                with self.subTest(command=command, path=path):
                    error, _ = self.refused(3, *self.given(command, template, path), timeout=20)
                    self.assertIn(path, error)
                    self.assertIn(wanted, error)
        self.assertEqual(sorted(os.listdir(self.folder)), ["fifo", "folder"])

    def test_outputs_that_are_no_files(self):
        for path, kind in self.specials().items():
            for command, template in WRITERS.items():
                with self.subTest(command=command, path=path):
                    error, _ = self.refused(2, *self.given(command, template, path), timeout=60)
                    self.assertIn(path, error)
                    self.assertIn(kind, error)
        self.assertEqual(sorted(os.listdir(self.folder)), ["fifo", "folder"])

    def test_outputs_that_are_the_input(self):
        own, link, hard = self.path("own.gguf"), self.path("link.gguf"), self.path("hard.gguf")
        shutil.copy(M, own)
        os.symlink(own, link)
        os.link(own, hard)
        before = os.stat(own)
        for path in (own, link, hard, os.path.join(self.folder, ".", "own.gguf")):
            for command, template in WRITERS.items():
                with self.subTest(command=command, path=path):
                    line = [own if word == M else word for word in template]
                    error, _ = self.refused(2, *self.given(command, line, path), timeout=60)
                    self.assertIn(own, error)
            done = run("chat", "-m", own, "-n", "1", stdin=f"/save {path}\n".encode())
            self.assertIn(b"not an input", done.stderr)
        after = os.stat(own)
        self.assertEqual((before.st_size, before.st_mtime_ns, before.st_ino),
                         (after.st_size, after.st_mtime_ns, after.st_ino))

    def test_text_without_an_end(self):
        for command in (["tokenize", "-m", M], ["perplexity", "-m", M]):
            error, _ = self.refused(1, *command, "-f", "/dev/zero", timeout=60)
            self.assertIn("/dev/zero", error)


if __name__ == "__main__":
    main()
