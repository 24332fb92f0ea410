"""nibble pack on the real models: what the packed file says and computes, the way back, and refusals."""
import json
import os
import resource
import signal
import subprocess

from support import (NIBBLE, SMOLLM2, ToolTest, gguf, main, model, require, run,
                     wait_for_handlers)

require(SMOLLM2)
M = model(SMOLLM2)


class Pack(ToolTest):
    def packed(self):
        path = self.path("packed.gguf")
        self.assertEqual(self.ok("pack", M, path), b"")
        return path

    def test_inspect(self):
        path = self.packed()
        info = json.loads(self.ok("inspect", path, "--json"))
        self.assertTrue(info["runs"])
        self.assertEqual(info["warnings"], [])
        self.assertEqual(info["bytes"], os.path.getsize(path))
        types = {row["type"]: row["tensors"] for row in info["types"]}
        self.assertEqual(types, {"F32": 61, "Q4_1.R16": 210, "Q8_0.R16H": 1})
        plain = json.loads(self.ok("inspect", M, "--json"))
        for old, new in zip(plain["tensors"], info["tensors"], strict=True):
            self.assertEqual((old["name"], old["shape"]), (new["name"], new["shape"]))
            self.assertEqual(new["offset"] % 64, 0)
        added = {row["key"]: row["value"] for row in info["metadata"][len(plain["metadata"]):]}
        self.assertTrue(added.pop("nibble.tensor_hashes"))
        self.assertGreater(added.pop("nibble.tensor_table_hash"), 0)
        self.assertEqual(added, {"general.alignment": 64, "nibble.packed.source_alignment": 0})
        self.assertEqual(info["metadata"][:len(plain["metadata"])], plain["metadata"])
        self.assertIn("Q4_1.R16", self.ok("inspect", path).decode())

    def test_same_answer(self):
        path = self.packed()
        prompt = ["--tokens", "504,3575,282"]
        for isa in ([], ["--isa", "reference"], ["--no-repack"]):
            files = [self.path(name) for name in ("plain.npy", "packed.npy")]
            for source, target in zip((M, path), files):
                self.ok("logits", "-m", source, *prompt, "-o", target, *isa)
            with open(files[0], "rb") as a, open(files[1], "rb") as b:
                self.assertEqual(a.read(), b.read(), isa)
        answer = ["--temp", "0", "-n", "24", "Why is the sky blue?"]
        self.assertEqual(self.ok("run", M, *answer), self.ok("run", path, *answer))

    def test_undo(self):
        path, back = self.packed(), self.path("back.gguf")
        self.ok("pack", "--undo", path, back)
        with open(M, "rb") as a, open(back, "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_says_what_it_did(self):
        path = self.path("packed.gguf")
        done = run("pack", M, path, "-t", "1")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr.decode(), r"packed\.gguf: 211 of 272 tensors packed, 98\.\d MB\n")

    def test_memory(self):
        """Two tensors (the largest has 30 MB) and 64 MB more."""
        with subprocess.Popen([NIBBLE, "pack", M, self.path("packed.gguf")],
                              stderr=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        with open(NIBBLE, "rb") as file:
            if b"__asan_init" in file.read() or "san" in os.path.abspath(NIBBLE):
                self.skipTest("a sanitizer takes memory of its own")
        self.assertLess(usage.ru_maxrss * 1024, 2 * 30_081_024 + (64 << 20))

    def test_refused(self):
        path, out = self.packed(), self.path("out.gguf")
        for code, args, word in [
                (2, [path, out], "not packed"),
                (2, ["--undo", M, out], "packed file"),
                (2, [path, path], "not packed"),
                (2, ["--undo", path, path], "not an input"),
                (2, [M], "name of a file"),
                (2, [M, out, "more"], "more"),
                (2, [M, out, "-t", "x"], "x"),
                (3, ["/no/such.gguf", out], "/no/such.gguf"),
                (3, [self.path("e.gguf", b""), out], "e.gguf"),
                (3, [self.path("new.gguf", gguf({"general.architecture": "brandnew"})), out],
                 "brandnew"),
                (1, [M, "/no/such/out.gguf"], "/no/such/out.gguf"),
                (2, [M, self.folder], "folder")]:
            with self.subTest(args=args):
                error, _ = self.refused(code, "pack", *args)
                self.assertIn(word, error)
        self.assertEqual(sorted(os.listdir(self.folder)), ["e.gguf", "new.gguf", "packed.gguf"])

    def test_truncated(self):
        with open(self.packed(), "rb") as file:
            head = file.read(5_000_000)
        for size in (1000, 1_785_000, 5_000_000):
            path = self.path("cut.gguf", head[:size])
            for command in (["run", path, "hi"], ["inspect", path],
                            ["pack", "--undo", path, self.path("out.gguf")]):
                error, _ = self.refused(3, *command)
                self.assertIn("cut.gguf", error)
        self.assertEqual(sorted(os.listdir(self.folder)), ["cut.gguf", "packed.gguf"])

    def test_no_room(self):
        """A limit on the size of files stands for a full disk."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000_000, 50_000_000))
        error, _ = self.refused(1, "pack", M, self.path("out.gguf"), preexec_fn=limit)
        self.assertIn("out.gguf: cannot", error)
        self.assertEqual(os.listdir(self.folder), [])

    def test_interrupted(self):
        out = self.path("out.gguf", b"the old file")
        with subprocess.Popen([NIBBLE, "pack", M, out], stderr=subprocess.PIPE) as process:
            wait_for_handlers(process.pid)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=60)
        # It may have been done before.
        if process.returncode != 0:
            self.assertEqual(process.returncode, 130, error)
            with open(out, "rb") as file:
                self.assertEqual(file.read(), b"the old file")
        self.assertEqual(os.listdir(self.folder), ["out.gguf"])


main()
