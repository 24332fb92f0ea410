"""nibble split, merge and verify on a real model: the same answer from the parts, the same file back,
damage found, refusals by name."""
import os
import subprocess

from support import NIBBLE, SMOLLM2, ToolTest, main, model, require, run

require(SMOLLM2)
M = model(SMOLLM2)


class Split(ToolTest):
    def split(self, *options):
        self.assertEqual(self.ok("split", M, self.path("part"), *options), b"")
        return sorted(self.path(name) for name in os.listdir(self.path("")) if "-of-" in name)

    def test_round_trip(self):
        parts = self.split("--max-size", "40M")
        self.assertEqual([os.path.basename(p) for p in parts],
                         [f"part-0000{i}-of-00003.gguf" for i in (1, 2, 3)])
        answer = ["--temp", "0", "-n", "16", "Why is the sky blue?"]
        self.assertEqual(self.ok("run", parts[0], *answer), self.ok("run", M, *answer))
        back = self.path("back.gguf")
        self.assertEqual(self.ok("merge", parts[0], back), b"")
        with open(M, "rb") as a, open(back, "rb") as b:
            self.assertEqual(a.read(), b.read())
        text = self.ok("verify", parts[0]).decode()
        self.assertEqual(text.count("the structure is sound"), 3)

    def test_says_what_it_did(self):
        done = run("split", M, self.path("part"), "--max-tensors", "100")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr.decode(),
                         r"part-00001-of-00003\.gguf: the first of 3 files with 272 tensors, 98")

    def test_refusals(self):
        parts = self.split("--max-size", "40M")
        for args, code, text in (
                (["split", M], 2, "beginning of the parts' names"),
                (["split", M, self.path("x"), "--max-size", "many"], 2, "--max-size"),
                (["split", M, self.path("part"), "--max-size", "40M"], 2, "expected no file"),
                (["merge", M, self.path("out.gguf")], 2, "got a whole one"),
                (["merge", parts[1], self.path("out.gguf")], 2, "part 2 of 3"),
                (["merge", parts[0], parts[2]], 2, "is not an input"),
                (["verify"], 2, "expected a model"),
                (["verify", self.path("nothing.gguf")], 3, "nothing.gguf")):
            done = run(*args)
            self.assertEqual((done.returncode, done.stdout), (code, b""), args)
            self.assertIn(text, done.stderr.decode(), args)
        os.remove(parts[1])
        done = run("run", parts[0], "hello")
        self.assertEqual(done.returncode, 3)
        self.assertIn("part-00002-of-00003.gguf", done.stderr.decode())

    def test_archive(self):
        path, back = self.path("m.gguf.zst"), self.path("back.gguf")
        self.ok("archive", M, path)
        answer = ["--temp", "0", "-n", "8", "Why is the sky blue?"]
        self.assertEqual(self.ok("run", path, *answer), self.ok("run", M, *answer))
        self.ok("archive", "--undo", path, back)
        with open(M, "rb") as a, open(back, "rb") as b:
            self.assertEqual(a.read(), b.read())
        with open(path, "rb") as file:
            packed = bytearray(file.read())
        packed[len(packed) // 2] ^= 1
        with open(path, "wb") as file:
            file.write(packed)
        for args in (["run", path, "hello"], ["inspect", path],
                     ["archive", "--undo", path, back]):
            done = run(*args)
            self.assertEqual(done.returncode, 3, args)
            self.assertRegex(done.stderr.decode(), r"m\.gguf\.zst: frame \d+: ")
        with open(M, "rb") as a, open(back, "rb") as b:
            self.assertEqual(a.read(), b.read())
        done = run("archive", M, M)
        self.assertEqual(done.returncode, 2)

    def test_archive_as_the_source(self):
        """What quantize and convert make of an archive is what they make of the file in it."""
        path = self.path("m.gguf.zst")
        self.ok("archive", M, path)
        for name, command, rest in (
                ("out.gguf", "quantize", ["Q4_0", "--allow-requantize", "--no-card"]),
                ("out.safetensors", "convert", [])):
            made = []
            for source in (M, path):
                out = self.path(name)
                self.ok(command, source, out, *rest)
                with open(out, "rb") as file:
                    made.append(file.read())
            self.assertTrue(made[0] == made[1], command)
            # Nor may it be written over while it is read.
            self.refused(2, command, path, path, *rest)
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ["m.gguf.zst", "out.gguf", "out.safetensors"])

    def test_ways_back_refuse_what_is_no_file(self):
        archive, packed, part = self.path("a.zst"), self.path("k.gguf"), self.path("p")
        hard, fifo, folder = self.path("h"), self.path("fifo"), self.path("folder")
        self.ok("archive", M, archive)
        self.ok("pack", M, packed)
        self.ok("split", M, part, "--max-size", "40M")
        os.mkfifo(fifo)
        os.mkdir(folder)
        before = sorted(os.listdir(self.folder))
        kinds = {fifo: "a pipe", folder: "a folder", "/dev/zero": "a device", "/dev/null": "a device"}
        ways = (["archive", "--undo", archive], ["pack", "--undo", packed],
                ["merge", part + "-00001-of-00003.gguf"])
        for way in ways:
            for path, kind in kinds.items():
                with self.subTest(way=way, path=path):
                    error, _ = self.refused(2, *way, path, timeout=20)
                    self.assertIn(f"{path}: expected a regular file to write, got {kind}", error)
                    error, _ = self.refused(3, *way[:-1], path, self.path("new"), timeout=20)
                    self.assertIn(f"{path}: expected a regular file, got {kind}", error)
            os.link(way[-1], hard)
            error, _ = self.refused(2, *way, hard, timeout=20)
            self.assertIn("not an input", error)
            os.remove(hard)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_archive_killed(self):
        """Killed at any time, the old file is there or the whole new one, and the next run's folder
        has no litter."""
        path, whole = self.path("m.zst"), self.path("whole.zst")
        self.ok("archive", M, whole)
        with open(whole, "rb") as file:
            new = file.read()
        for ms in (1, 30, 100, 250, 500):
            with open(path, "wb") as file:
                file.write(b"old")
            with subprocess.Popen([NIBBLE, "archive", M, path], stderr=subprocess.PIPE) as process:
                try:
                    process.wait(ms / 1000)
                except subprocess.TimeoutExpired:
                    process.kill()
            with open(path, "rb") as file:
                self.assertIn(file.read(), (b"old", new))
        self.ok("archive", M, path)
        self.assertEqual(sorted(os.listdir(self.path(""))), ["m.zst", "whole.zst"])

    def test_verify(self):
        path = self.path("quantized.gguf")
        self.ok("quantize", M, path, "Q4_0", "--allow-requantize", "--no-card")
        self.assertIn("every tensor has the bytes that were written",
                      self.ok("verify", path).decode())
        with open(path, "r+b") as file:
            file.seek(-5000, os.SEEK_END)
            byte = file.read(1)[0]
            file.seek(-5000, os.SEEK_END)
            file.write(bytes([byte ^ 16]))
        done = subprocess.run([NIBBLE, "verify", path], capture_output=True)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stdout.decode(), r"tensor \S+: its bytes are not those")
        self.assertIn("1 of 272 tensors are damaged", done.stderr.decode())


if __name__ == "__main__":
    main()
