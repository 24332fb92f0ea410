"""nibble quantize, imatrix and compare on a real model, as a user runs them."""
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import time

from support import NIBBLE, SMOLLM2, ToolTest, main, model, require, run, wait_for_handlers

require(SMOLLM2)
M = model(SMOLLM2)
AGAIN = "--allow-requantize"


class Quantize(ToolTest):
    def info(self, path):
        return json.loads(self.ok("inspect", path, "--json"))

    def quantized(self, name, kind, *more):
        path = self.path(name)
        self.ok("quantize", M, path, kind, AGAIN, "--no-card", *more)
        return path

    def content(self, path):
        """Its hash: a child's peak memory begins at its parent's, so files are not read whole."""
        digest = hashlib.blake2b()
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        return digest.digest()

    def test_help_is_the_menu(self):
        text = self.ok("quantize", "--help").decode()
        for name in ("Q4_K_M", "Q2_K", "IQ4_XS", "NF4", "BF16", "bits/weight"):
            self.assertIn(name, text)
        self.assertRegex(text, r"NF4 .*only nibble")

    def test_plan(self):
        plan = self.ok("quantize", "--dry-run", M, "Q4_K_M", AGAIN).decode().splitlines()
        self.assertEqual(len(plan), 273)
        self.assertRegex(plan[0], r"^\[  1/272\] token_embd\.weight .* Q8_0 ")
        self.assertRegex(plan[-1], r"Q4_K_M: 96\.6 MB -> .* bits per weight; \d+ of 272 tensors")
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual(self.ok("quantize", "--dry-run", M, "15", AGAIN).decode().splitlines(), plan)
        small = self.ok("quantize", "--dry-run", M, AGAIN, "--tensor-type", "ffn=Q4_0",
                        "--output-tensor-type", "f16", "--pure", "Q8_0").decode()
        self.assertRegex(small, r"blk\.0\.ffn_up\.weight .* -> Q4_0 .*--tensor-type ffn\n")
        self.assertRegex(small, r"token_embd\.weight .* -> F16 .*--output-tensor-type\n")
        self.assertRegex(small, r"blk\.0\.attn_q\.weight .* -> Q8_0 ")

    def test_runs_and_is_the_same_for_any_threads(self):
        one = self.quantized("one.gguf", "Q4_0", "-t", "1")
        two = self.quantized("two.gguf", "q4_0", "-t", "2")
        self.assertEqual(self.content(one), self.content(two))
        info = self.info(one)
        self.assertTrue(info["runs"])
        self.assertIsNone(info["quality"])
        types = {row["type"]: row["tensors"] for row in info["types"]}
        self.assertEqual(types, {"F32": 61, "Q4_0": 210, "Q8_0": 1})
        self.assertTrue(self.ok("run", one, "-n", "8", "--temp", "0", "The sky is"))

    def test_card_and_compare(self):
        path = self.path("card.gguf")
        done = run("quantize", M, path, "Q8_0", AGAIN)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr.decode(), r"KL divergence 0\.0\d+ \+/- .*same top token 9\d")
        card = self.info(path)["quality"]
        same = json.loads(self.ok("compare", M, path, "--json"))
        for key in ("tokens", "text_hash"):
            self.assertEqual(card[key], same[key])
        for key in ("kl_divergence", "same_top_token", "perplexity", "source_perplexity"):
            self.assertAlmostEqual(card[key] / same[key], 1, delta=1e-6)
        self.assertLess(card["kl_divergence"], 0.02)
        self.assertEqual(len(card["tensor_errors"]), 272)
        self.assertEqual(len(same["tensors"]), 272)
        self.assertIn("quality", self.ok("inspect", path).decode())
        text = self.ok("compare", path, path, "--chunks", "1").decode()
        self.assertIn("KL divergence    0.00000", text)
        self.assertIn("Same top token   100.00 %", text)

    def test_importance(self):
        text = self.path("text.txt", b"".join(b"Line %d of a text about rabbits.\n" % i
                                              for i in range(200)))
        files = [self.path(f"{n}.gguf") for n in (1, 2)]
        for threads, file in enumerate(files, 1):
            self.ok("imatrix", "-m", M, "-f", text, "-o", file, "-c", "128", "--chunks", "2",
                    "-t", str(threads))
        self.assertEqual(self.content(files[0]), self.content(files[1]))
        out = self.quantized("out.gguf", "Q4_0", "--imatrix", files[0])
        meta = {row["key"]: row["value"] for row in self.info(out)["metadata"]}
        self.assertEqual(meta["quantize.imatrix.file"], files[0])
        self.assertEqual(meta["quantize.imatrix.entries_count"], 210)
        self.assertEqual(meta["quantize.imatrix.chunks_count"], 2)

    def test_fit(self):
        plan = self.ok("quantize", "--dry-run", M, AGAIN, "--fit", "120M").decode()
        self.assertRegex(plan.splitlines()[-1], r"^\w+: ")
        error, _ = self.refused(1, "quantize", "--dry-run", M, AGAIN, "--fit", "1M")
        self.assertIn("--fit", error)

    def test_memory(self):
        """Two tensors (the largest has 57 MB in F16) and 64 MB more."""
        source = self.quantized("f16.gguf", "F16")
        with subprocess.Popen([NIBBLE, "quantize", source, self.path("out.gguf"), "Q4_K_M",
                               "--no-card"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        if "san" in os.path.abspath(NIBBLE):
            self.skipTest("a sanitizer takes memory of its own")
        self.assertLess(usage.ru_maxrss * 1024, 2 * 56_623_104 + (64 << 20))

    def test_refused(self):
        out = self.path("out.gguf")
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        for code, args, word in [
                (2, [M, out, "Q4_0"], "got Q4_1"),
                (2, [M, M, "Q8_0", AGAIN], "not an input"),
                (2, [M, fifo, "Q8_0", AGAIN], "a pipe"),
                (3, [fifo, out, "Q8_0"], "a pipe"),
                (2, [M, "/dev/null", "Q8_0", AGAIN], "a device"),
                (2, [M, out, "Q9_Z"], "Q9_Z"),
                (2, [M, out], "a type"),
                (2, [M], "to write"),
                (2, [], "a model"),
                (2, [M, out, "Q8_0", "--tensor-type", "x"], "REGEX=TYPE"),
                (2, [M, out, "Q8_0", "--tensor-type", "x=Q7"], "Q7"),
                (2, [M, out, "Q8_0", AGAIN, "--tensor-type", "a(=Q4_0"], "a("),
                (2, [M, out, "Q4_K_M", AGAIN, "--strict"], "multiple of 256"),
                (2, [M, out, "--fit", "lots"], "lots"),
                (2, [M, out, "Q8_0", AGAIN, "--method", "magic"], "magic"),
                (2, [M, out, "Q8_0", AGAIN, "--calibration", M], "a method that calibrates"),
                (1, [M, out, "Q8_0", AGAIN, "--method", "gptq", "--calibration", "/no/such.txt"],
                 "/no/such.txt"),
                (3, [M, out, "Q8_0", AGAIN, "--imatrix", M], "importance matrix"),
                (3, ["/no/such.gguf", out, "Q8_0"], "/no/such.gguf"),
                (1, [M, "/no/such/out.gguf", "Q8_0", AGAIN], "/no/such/out.gguf")]:
            with self.subTest(args=args):
                error, _ = self.refused(code, "quantize", *args)
                self.assertIn(word, error)
        self.assertEqual(os.listdir(self.folder), ["fifo"])

    def test_no_room(self):
        """A limit on the size of files stands for a full disk."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000_000, 50_000_000))
        done = run("quantize", M, self.path("out.gguf"), "Q8_0", AGAIN, "--no-card",
                   preexec_fn=limit)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.decode(), r"error: .*out\.gguf: cannot \w+")
        self.assertEqual(os.listdir(self.folder), [])

    def test_calibration_text(self):
        text = self.path("text.txt")
        with open(text, "w", encoding="utf-8") as file:
            file.write("Down the Rabbit-Hole\n")
        done = run("quantize", M, self.path("out.gguf"), "Q4_0", AGAIN, "--method", "gptq",
                   "--calibration", text)
        self.assertEqual(done.returncode, 2)
        error = done.stderr.decode()
        self.assertIn("is the one that the quality card is measured on", error)
        self.assertIn("expected at least 512 tokens", error)
        self.assertEqual(os.listdir(self.folder), ["text.txt"])

    def test_interrupted_calibration(self):
        with subprocess.Popen([NIBBLE, "quantize", M, self.path("out.gguf"), "Q4_0", AGAIN,
                               "--no-card", "--method", "awq"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as process:
            wait_for_handlers(process.pid)
            time.sleep(1.0)
            process.send_signal(signal.SIGINT)
            error = process.communicate(timeout=120)[1].decode()
        self.assertEqual(process.returncode, 130, error)
        self.assertIn("anew", error)
        self.assertEqual(os.listdir(self.folder), [])

    def killed(self, out, name, after):
        """Ends a quantization by a signal after so many seconds; its exit code."""
        with subprocess.Popen([NIBBLE, "quantize", M, out, "Q4_0", AGAIN, "--no-card", "-t", "1"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            if name == signal.SIGINT:
                wait_for_handlers(process.pid)
            time.sleep(after)
            process.send_signal(name)
            process.communicate(timeout=120)
        return process.returncode

    def test_killed_and_continued(self):
        whole = self.content(self.quantized("whole.gguf", "Q4_0"))
        out = self.path("out.gguf")
        chance = random.Random(5)
        for name in [signal.SIGKILL] * 8 + [signal.SIGINT] * 3:
            with open(out, "wb") as file:
                file.write(b"the old file")
            code = self.killed(out, name, chance.uniform(0, 1.0))
            old = hashlib.blake2b(b"the old file").digest()
            self.assertEqual(self.content(out), whole if code == 0 else old, code)
            if name == signal.SIGINT:
                self.assertIn(code, (0, 130))
            self.ok("quantize", M, out, "Q4_0", AGAIN, "--no-card")
            self.assertEqual(self.content(out), whole)
            self.assertEqual(sorted(os.listdir(self.folder)), ["out.gguf", "whole.gguf"])


main()
