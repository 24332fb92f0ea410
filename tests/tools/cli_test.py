"""Every subcommand on the real models: what it prints, and that the parts agree with each other."""
import array
import ast
import itertools
import json
import math
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from support import (FullPipe, GEMMA3, NIBBLE, SMOLLM2, ToolTest, gguf, main, model, require, run,
                     wait_for_handlers, with_sampling)

require(SMOLLM2, GEMMA3)
M = model(SMOLLM2)
G = model(GEMMA3)
COMMANDS = ["chat", "run", "inspect", "tokenize", "logits", "perplexity", "bench", "doctor",
            "pack", "convert"]
TEXT = "/usr/share/common-licenses/GPL-3"


def read_npy(path):
    """(shape, rows as lists of floats): an independent reader."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    length = int.from_bytes(data[8:10], "little")
    assert (10 + length) % 64 == 0
    header = ast.literal_eval(data[10:10 + length].decode())
    assert header["descr"] == "<f4" and header["fortran_order"] is False
    values = array.array("f", data[10 + length:])
    rows, cols = header["shape"]
    assert len(values) == rows * cols
    return (rows, cols), [values[i * cols:(i + 1) * cols] for i in range(rows)]


def unquote(text):
    """The bytes that a quoted token stands for."""
    return re.sub(rb"\\(x[0-9A-F]{2}|.)", lambda m: bytes([int(m[1][1:], 16)]) if len(m[1]) == 3 else
                  {b"n": b"\n", b"t": b"\t", b"r": b"\r"}.get(m[1], m[1]), text[1:-1].encode())


class Help(ToolTest):
    def test_overview(self):
        short = self.ok().decode()
        self.assertIn("nibble chat", short)
        self.assertNotIn("perplexity", short)
        self.assertEqual(self.ok("help"), self.ok("--help"))
        for command in COMMANDS:
            self.assertIn(command, self.ok("help").decode())

    def test_each_command(self):
        everything = self.ok("help", "all").decode()
        for command in COMMANDS:
            text = self.ok(command, "--help").decode()
            self.assertEqual(text, self.ok("help", command).decode())
            self.assertIn(f"Usage: nibble {command}", text)
            self.assertIn("Examples:\n", text)
            self.assertIn(text, everything)
            self.assertLessEqual(max(map(len, text.split("\n"))), 100)

    def test_version(self):
        self.assertRegex(self.ok("--version").decode(), r"^nibble \d+\.\d+\.\d+\n$")


class Tokenize(ToolTest):
    def test_ids(self):
        self.assertEqual(self.ok("tokenize", "-m", M, "--ids", "Hello world"), b"19556 905\n")
        self.assertEqual(self.ok("tokenize", M, "--ids", "Hello world"), b"19556 905\n")
        self.assertEqual(self.ok("tokenize", "-m", M, "--ids", stdin=b"Hello world"),
                         b"19556 905\n")
        path = self.path("t.txt", b"Hello world")
        self.assertEqual(self.ok("tokenize", "-m", M, "--ids", "-f", path), b"19556 905\n")
        self.assertEqual(self.ok("tokenize", "-m", M, "--ids", ""), b"\n")

    def test_bos(self):
        with_bos = self.ok("tokenize", "-m", G, "--ids", "Hello").split()
        without = self.ok("tokenize", "-m", G, "--ids", "--no-bos", "Hello").split()
        self.assertEqual(with_bos, [b"2", *without])

    def test_special(self):
        self.assertEqual(self.ok("tokenize", "-m", M, "--ids", "--special", "<|im_end|>"), b"2\n")
        self.assertGreater(len(self.ok("tokenize", "-m", M, "--ids", "<|im_end|>").split()), 1)

    def test_listing(self):
        self.assertEqual(self.ok("tokenize", "-m", M, "a\n\x1b"),
                         b"     81  'a'\n    198  '\\n'\n    212  '\\x1B'\n")

    def test_any_bytes(self):
        """Gemma's vocabulary has a token for every byte."""
        data = bytes(range(256))
        listed = self.ok("tokenize", "-m", G, "--no-bos", "-f", self.path("b", data)).decode()
        spelled = b"".join(unquote(line.lstrip().split("  ", 1)[1])
                           for line in listed.rstrip("\n").split("\n"))
        self.assertEqual(spelled, data)


    def test_many(self):
        self.assertEqual(self.ok("tokenize", "-m", M, "-0", stdin=b"Hello world\0\0Hello"),
                         b"19556 905\n\n19556\n")

    def test_count(self):
        counted = self.ok("tokenize", "-m", M, "--count", "Hello world").decode()
        self.assertEqual(counted.split("\n"), [
            "tokens            2", "of the context    0.0 % of 8192", "words             2",
            "tokens per word   1.00", "bytes per token   5.50", ""])
        priced = self.ok("tokenize", "-m", M, "--count", "--price", "500000", "1.5e6",
                         "Hello world").decode()
        self.assertTrue(priced.startswith(counted))
        self.assertIn("cost as input     1.000000 at 500000 a million\n", priced)
        self.assertIn("cost as output    3.000000 at 1.5e+06 a million\n", priced)

    def test_chat(self):
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi<|im_end|>"}]
        path = self.path("c.json", json.dumps(messages).encode())
        ids = self.ok("tokenize", "-m", M, "--ids", "--chat", path).split()
        # The message's own <|im_end|> is text: the template's two are the only ones.
        self.assertEqual(ids.count(b"2"), 2)
        self.assertEqual(ids.count(b"1"), 3)  # <|im_start|>, also of the answer to come
        counted = self.ok("tokenize", "-m", M, "--count", "--chat", path).decode()
        self.assertTrue(counted.startswith(f"tokens            {len(ids)}\n"))
        saved = self.path("s.json", json.dumps({"system": "Be brief.", "messages": messages[1:]}).encode())
        self.assertEqual(self.ok("tokenize", "-m", M, "--ids", "--chat", saved).split(), ids)
        for bad in [b"1", b"{}", b"[1]", b'[{"role": "user"}]']:
            self.refused(1, "tokenize", "-m", M, "--chat", self.path("b.json", bad))


class Inspect(ToolTest):
    def test_json(self):
        info = json.loads(self.ok("inspect", M, "--json"))
        self.assertTrue(info["runs"])
        self.assertEqual(info["architecture"], "llama")
        self.assertEqual(info["parameters"], 134515008)
        self.assertEqual(info["bytes"], os.path.getsize(M))
        self.assertEqual(len(info["tensors"]), 272)
        self.assertEqual(info["tokenizer"]["tokens"], 49152)
        self.assertIn("<|im_start|>user\nHello<|im_end|>", info["chat_template"]["sample"])
        plan = info["memory_plan"]
        self.assertEqual(plan["total"], plan["weights"] + plan["kv"] + plan["scratch"])
        larger = json.loads(self.ok("inspect", M, "--json", "-c", "16k"))["memory_plan"]
        self.assertEqual(larger["context"], 16384)
        self.assertEqual(larger["kv"], 16384 * plan["kv_per_token"])
        keys = {row["key"]: row for row in info["metadata"]}
        self.assertEqual(keys["general.architecture"]["value"], "llama")
        self.assertEqual(keys["tokenizer.ggml.tokens"]["count"], 49152)
        self.assertEqual(len(keys["tokenizer.ggml.tokens"]["value"]), 16)
        full = json.loads(self.ok("inspect", M, "--json", "--full"))
        keys = {row["key"]: row for row in full["metadata"]}
        self.assertEqual(len(keys["tokenizer.ggml.tokens"]["value"]), 49152)

    def test_text(self):
        text = self.ok("inspect", M).decode()
        for part in ("runs here       yes", "Metadata (", "Tensors (272):", "blk.0.attn_q.weight"):
            self.assertIn(part, text)

    def test_model_without_template(self):
        self.assertIsNone(json.loads(self.ok("inspect", G, "--json"))["chat_template"])

    def test_what_does_not_run_is_still_described(self):
        path = self.path("new.gguf", gguf({"general.architecture": "brandnew",
                                           "general.name": "evil \033[2J name"}))
        info = json.loads(self.ok("inspect", path, "--json"))
        self.assertFalse(info["runs"])
        self.assertIn("brandnew", info["problem"])
        text = self.ok("inspect", path).decode()
        self.assertIn("runs here       no", text)
        self.assertNotIn("\033", text)


class Interrupts(ToolTest):
    def test_while_the_model_loads(self):
        commands = (["run", M, "Hi"], ["chat", "-m", M], ["perplexity", "-m", M, "-p", "x"],
                    ["bench", "-m", M], ["doctor", "-m", M])
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for args, name in itertools.product(commands, signals):
            with self.subTest(args=args, signal=name):
                process = subprocess.Popen([NIBBLE, *args], stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                wait_for_handlers(process.pid, name)
                process.send_signal(name)
                out, err = process.communicate(timeout=60)
                self.assertEqual((process.returncode, out), (130, b""), err)
                self.assertTrue(err.startswith(b"error: cancelled\nhint: "), err)

    def test_a_second_one_ends_what_does_not_react(self):
        pipe = FullPipe(self.path("out"))
        self.addCleanup(pipe.close)
        # It never ends by itself, and soon waits for a reader that does not come.
        with open(pipe.path, "wb") as out:
            process = subprocess.Popen([NIBBLE, "run", M, "Hi", "--logit-bias", "2-inf"],
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE)
        pipe.wait_for_text()
        pipe.fill()
        while process.poll() is None:  # the first of two within a second does not end it
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()


class SamplingOfTheFile(ToolTest):
    """What a file asks of the sampler that nibble cannot do is said, never silently left out."""
    KEYS = ("general.sampling.mirostat 2", "general.sampling.sequence: stage dry")

    def test_it_is_shown(self):
        path = with_sampling(M, self.path("sampling.gguf"))
        info = json.loads(self.ok("inspect", path, "--json"))
        self.assertTrue(info["runs"])
        self.assertEqual(sorted(info["warnings"]),
                         sorted(f"{key} is not supported and has no effect" for key in self.KEYS))
        text = self.ok("inspect", path).decode()
        for key in self.KEYS:
            self.assertIn(f"{key} is not supported", text)
        want = "note: the model file asks for sampling that is not supported: "
        for args, stdin in ((["run", path, "Hi"], b""), (["chat", "-m", path], b"Hi\nYou?\n")):
            done = run(*args, "-n", "2", stdin=stdin, env={"XDG_STATE_HOME": self.folder})
            self.assertEqual(done.returncode, 0, done.stderr)
            notes = [line for line in done.stderr.decode().splitlines() if line.startswith(want)]
            self.assertEqual(len(notes), 1, done.stderr)  # once, not with every answer
            for key in self.KEYS:
                self.assertIn(key, notes[0])

    def test_nothing_is_said_of_other_files(self):
        self.assertEqual(json.loads(self.ok("inspect", M, "--json"))["warnings"], [])


class Logits(ToolTest):
    def top(self, *args):
        lines = self.ok("logits", *args).decode().splitlines()[1:]
        return [(int(line.split()[1]), float(line.split()[2])) for line in lines]

    def test_npy_agrees_with_top(self):
        path = self.path("x.npy")
        self.ok("logits", "-m", M, "--tokens", "504,3575,282,4649,314", "-o", path)
        shape, rows = read_npy(path)
        self.assertEqual(shape, (5, 49152))
        top = self.top("-m", M, "--tokens", "504,3575,282,4649,314", "--top", "3")
        self.assertEqual([t for t, _ in top],
                         sorted(range(49152), key=lambda i: (-rows[4][i], i))[:3])
        for token, logit in top:
            self.assertAlmostEqual(rows[4][token], logit, places=4)
        # A shorter prompt gives the same rows, bit for bit.
        self.ok("logits", "-m", M, "--tokens", "504,3575", "-o", path)
        self.assertEqual(read_npy(path)[1], rows[:2])

    def test_no_repack(self):
        """Weights as the file has them give the same bits."""
        files = [self.path("packed.npy"), self.path("file.npy")]
        for path, flags in zip(files, ([], ["--no-repack"])):
            self.ok("logits", "-m", M, "--tokens", "504,3575,282", "-o", path, *flags)
        self.assertEqual(*(Path(f).read_bytes() for f in files))

    def test_text(self):
        self.assertEqual(self.top("-m", M, "-p", "The capital of France is", "--top", "1")[0][0],
                         7042)  # " Paris"

    def test_reference_kernels(self):
        fast = dict(self.top("-m", M, "--tokens", "504,3575,282", "--top", "3"))
        slow = dict(self.top("-m", M, "--tokens", "504,3575,282", "--top", "3", "--isa",
                             "reference"))
        self.assertIn(next(iter(slow)), fast)
        for token in set(fast) & set(slow):
            self.assertAlmostEqual(fast[token], slow[token], delta=1.0)


class Perplexity(ToolTest):
    def test_two_chunks(self):
        if not os.path.exists(TEXT):
            self.skipTest(f"{TEXT} is not there")
        done = run("perplexity", "-m", M, "-f", TEXT, "-c", "64", "--chunks", "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout.decode(),
                         r"^\[1\]\d+\.\d{4},\[2\]\d+\.\d{4},\[3\]\d+\.\d{4},\n"
                         r"Final estimate: PPL = \d+\.\d{4} \+/- \d+\.\d{5}\n$")
        self.assertIn(b"3 chunks of 64 tokens, 93 scored", done.stderr)

    def test_agrees_with_logits(self):
        """One chunk of a model that adds BOS, recomputed from `tokenize` and `logits`."""
        text = "Free software is a matter of liberty, not price. " * 3
        printed = self.ok("perplexity", "-m", G, "-p", text, "-c", "16", "--chunks", "1").decode()
        ids = self.ok("tokenize", "-m", G, "--ids", text).decode().split()[:16]
        self.assertEqual(ids[0], "2")
        path = self.path("x.npy")
        self.ok("logits", "-m", G, "--tokens", ",".join(ids), "-o", path)
        _, rows = read_npy(path)
        total = 0
        for position in range(8, 15):
            row = rows[position]
            highest = max(row)
            total += highest + math.log(sum(math.exp(x - highest) for x in row)) - \
                row[int(ids[position + 1])]
        expected = math.exp(total / 7)
        self.assertAlmostEqual(float(printed.split("PPL = ")[1].split()[0]), expected, delta=0.001)


class Bench(ToolTest):
    ARGS = ["bench", "-m", M, "-p", "16", "-n", "4", "-d", "0,8", "-r", "2", "-t", "1"]

    def test_json(self):
        rows = json.loads(self.ok(*self.ARGS, "-o", "json"))
        self.assertEqual([(r["n_prompt"], r["n_gen"], r["n_depth"]) for r in rows],
                         [(16, 0, 0), (0, 4, 0), (16, 0, 8), (0, 4, 8)])
        for row in rows:
            self.assertGreater(row["avg_ts"], 0)
            self.assertGreaterEqual(row["stddev_ts"], 0)
            self.assertEqual(len(row["samples_ts"]), 2)
            self.assertEqual(row["n_threads"], 1)
            self.assertGreater(row["read_bandwidth"], 1e8)
            self.assertGreater(row["resident_bytes"], 0)
        self.assertGreater(rows[0]["first_token_ns"], 0)
        self.assertGreater(rows[1]["weight_bandwidth"], 0)

    def test_tables(self):
        self.assertEqual(len(self.ok(*self.ARGS, "-o", "csv").splitlines()), 5)
        table = self.ok(*self.ARGS).decode()
        self.assertIn("| pp16 |", table)
        self.assertIn("| tg4 @ d8 |", table)


    def test_kernels(self):
        """No model is needed; progress goes to standard error."""
        args = ["bench", "--kernels", "--types", "q4_0,F16", "--tokens", "1,16", "--shape", "256x256",
                "--seconds", "0.001", "-t", "1,2"]
        done = run(*args, "--isa", "all", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"matmul Q4_0", done.stderr)
        rows = json.loads(done.stdout)
        products = [r for r in rows if r["kernel"] == "matmul"]
        self.assertEqual({(r["type"], r["n_tokens"], r["n_threads"]) for r in products},
                         {(t, n, k) for t in ("Q4_0", "F16") for n in (1, 16) for k in (1, 2)})
        for row in products:
            self.assertGreater(row["gmac_per_s"], 0)
            self.assertEqual((row["rows"], row["cols"]), (256, 256))
        self.assertIn("baseline", {r["isa"] for r in rows})
        self.assertNotIn("reference", {r["isa"] for r in rows})
        self.assertEqual([r["n_threads"] for r in rows if r["kernel"] == "barrier"], [1, 2])
        text = self.ok(*args, "--isa", "baseline").decode()
        self.assertIn("| baseline | Q4_0 |", text)
        lines = self.ok(*args, "--isa", "baseline", "-o", "csv").decode().splitlines()
        self.assertEqual({line.count(",") for line in lines[1:]}, {lines[0].count(",")})

    def test_kernels_refused(self):
        self.refused(2, "bench", "--kernels", "--types", "Q9_9")
        self.refused(2, "bench", "--kernels", "--shape", "16x100")
        self.refused(2, "bench", "--kernels", "--isa", "z80")
        self.refused(2, "bench", "-m", M, "--isa", "all")

    def test_no_warmup(self):
        """What compare.py measures a start with: one run, the first, and nothing after it."""
        rows = json.loads(self.ok("bench", "-m", M, "-p", "8", "-n", "0", "-r", "1", "--no-warmup",
                                  "--no-bandwidth", "-o", "json"))
        self.assertEqual(len(rows[0]["samples_ns"]), 1)
        self.assertEqual(rows[0]["read_bandwidth"], 0)
        self.assertEqual(rows[0]["first_token_ns"], rows[0]["samples_ns"][0] + rows[0]["load_ns"])


class Doctor(ToolTest):
    def test_machine(self):
        found = json.loads(self.ok("doctor", "--json"))
        self.assertIsNone(found["model"])
        self.assertEqual(found["machine"]["kernels"][-1]["name"], "baseline")
        self.assertTrue(found["machine"]["kernels"][-1]["supported"])
        for part in ("read_bandwidth", "int8_peak", "barrier"):
            self.assertGreaterEqual(len(found[part]), 1)
        self.assertGreater(found["read_bandwidth"][-1]["bytes_per_second"], 1e8)

    def test_model(self):
        found = json.loads(self.ok("doctor", M, "--json", "-t", "1"))
        model = found["model"]
        self.assertEqual(model["bytes"], os.path.getsize(M))
        # Its tied embedding is the output head: all that is not metadata is read for a token.
        self.assertLess(model["bytes_per_token"], model["bytes"])
        self.assertGreater(model["bytes_per_token"], 0.95 * model["bytes"])
        # 30 layers of 576: q, o; k, v of 3 of 9 heads; gate, up, down of 1536.
        self.assertEqual(model["macs_per_token"], 30 * 576 * (2 * 576 + 2 * 192 + 3 * 1536))
        self.assertGreater(model["decode"]["tokens_per_second"], 0)
        self.assertAlmostEqual(model["decode"]["bound"] * model["bytes_per_token"],
                               found["read_bandwidth"][-1]["bytes_per_second"], delta=1e4)
        for finding in found["findings"]:
            self.assertTrue(all(finding[key] for key in ("what", "cost", "advice")))

    def test_text(self):
        text = self.ok("doctor", "-m", M).decode()
        for part in ("cpu ", "read bandwidth ", "\ndecode ", "\nprefill "):
            self.assertIn(part, text)
        text = self.ok("doctor", "--isa", "baseline").decode()
        self.assertIn("What slows it\n", text)
        self.assertIn("\n- the kernels in use are baseline", text)

    def test_without_model(self):
        self.refused(3, "doctor", "-m", self.path("missing.gguf"))
        self.refused(3, "doctor", self.path("no.gguf", b"not a model"))


class Run(ToolTest):
    ASK = ["run", M, "What is the capital of France?", "--temp", "0", "-n", "12"]

    def test_only_the_answer(self):
        done = run(*self.ASK)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertTrue(done.stdout.endswith(b"\n"))
        self.assertNotIn(b"\033", done.stdout)
        self.assertNotIn(b"<|im_", done.stdout)
        self.assertEqual(done.stdout, self.ok(*self.ASK))

    def test_ways_to_give_the_prompt(self):
        answer = self.ok(*self.ASK)
        prompt = b"What is the capital of France?"
        rest = ["--temp", "0", "-n", "12"]
        path = self.path("p.txt", prompt + b"\n")
        self.assertEqual(self.ok("run", M, *rest, stdin=prompt + b"\n"), answer)
        self.assertEqual(self.ok("run", M, "-p", prompt.decode(), *rest), answer)
        self.assertEqual(self.ok("run", "-m", M, prompt.decode(), *rest), answer)
        self.assertEqual(self.ok("run", M, "-f", path, *rest), answer)
        self.assertEqual(self.ok("run", M, "-f", "-", *rest, stdin=prompt), answer)
        self.assertEqual(self.ok("run", M, "of France?", *rest, stdin=b"What is the capital"),
                         self.ok("run", M, "What is the capital\nof France?", *rest))

    def test_seed_and_length(self):
        ask = ["run", M, "Tell me a story.", "-n", "8"]
        self.assertEqual(self.ok(*ask, "-s", "1"), self.ok(*ask, "-s", "1"))
        done = run(*ask, "-s", "1", "-v")
        self.assertIn(b"eval count:           8 token(s)\n", done.stderr)

    def test_threads_and_batches_do_not_change_the_answer(self):
        answer = self.ok(*self.ASK)
        for more in (["-t", "1"], ["-t", "3"], ["-ub", "1"], ["-ub", "7"]):
            self.assertEqual(self.ok(*self.ASK, *more), answer, more)

    def test_raw_and_base_model(self):
        raw = self.ok("run", M, "--raw", "The capital of France is", "--temp", "0", "-n", "1")
        self.assertEqual(raw, b" Paris\n")
        self.assertTrue(self.ok("run", G, "The capital of France is", "--temp", "0", "-n", "4"))

    def test_stop_and_bias(self):
        raw = ["run", M, "--raw", "One, two, three, four,", "--temp", "0", "-n", "8"]
        self.assertIn(b",", self.ok(*raw))
        self.assertNotIn(b",", self.ok(*raw, "--stop", ","))
        self.assertNotIn(b" Paris", self.ok("run", M, "--raw", "The capital of France is", "--temp",
                                            "0", "-n", "1", "--logit-bias", "7042-inf"))

    def test_interrupt(self):
        for name, code in ((signal.SIGINT, 130), (signal.SIGTERM, 130)):
            process = subprocess.Popen([NIBBLE, "run", M, "Tell me a long story.", "-s", "1",
                                        "--logit-bias", "2-inf"], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
            os.read(process.stdout.fileno(), 1)  # the answer has begun
            asked = time.monotonic()
            process.send_signal(name)
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, code)
            self.assertLess(time.monotonic() - asked, 30)


if __name__ == "__main__":
    main()
