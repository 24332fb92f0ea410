"""The examples on the real models: what each says is what the command says."""
import glob
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from support import GEMMA3, SMOLLM2, ToolTest, main, model, require, run  # noqa: E402

require(SMOLLM2, GEMMA3)
FOLDER, SOURCES = sys.argv[2:4]
QUESTION = "What is the capital of France?"
MOST_LINES = 100


def example(name, *args, **more):
    return subprocess.run([os.path.join(FOLDER, "example_" + name), *args], capture_output=True,
                          timeout=300, **more)


class Examples(ToolTest):
    def said(self, name, *args, **more):
        done = example(name, *args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def answer(self, question, n, *more, of=SMOLLM2):
        return self.ok("run", model(of), question, "--temp", "0", "-n", str(n), *more)

    def test_hello(self):
        done = self.said("hello", model(SMOLLM2), QUESTION)
        self.assertEqual(done.stdout, self.answer(QUESTION, 60))
        self.assertEqual(done.stderr, b"")

    def test_chat(self):
        lines = f"{QUESTION}\nAnd of Italy?\n".encode()
        want = self.ok("chat", "-m", model(SMOLLM2), "--temp", "0", "-n", "40", stdin=lines,
                       env={"XDG_STATE_HOME": self.folder})
        done = self.said("chat", model(SMOLLM2), input=lines)
        self.assertEqual(done.stdout, want)
        self.assertEqual(done.stderr, b"")

    def test_save_restore(self):
        second = "And of Italy?"
        want = self.ok("chat", "-m", model(SMOLLM2), "--temp", "0", "-n", "40",
                       stdin=f"{QUESTION}\n{second}\n".encode(),
                       env={"XDG_STATE_HOME": self.folder})
        done = self.said("save_restore", model(SMOLLM2), self.path("talk.session"), QUESTION, second)
        self.assertEqual(done.stdout, want)
        known, prompt = (int(n) for n in re.findall(rb"\d+", done.stderr))
        # The first turn's prompt and its 40 tokens, of which the last was perhaps not evaluated.
        chat = self.path("chat.json", json.dumps([{"role": "user", "content": QUESTION}]).encode())
        first = self.ok("tokenize", "-m", model(SMOLLM2), "--chat", chat, "--ids").split()
        self.assertGreaterEqual(known, len(first) + 39)
        self.assertLess(known, prompt)

    def test_two_models(self):
        text = "Once upon a time"
        done = self.said("two_models", model(SMOLLM2), model(GEMMA3), text)
        want = [self.answer(text, 24, "--raw", "-c", "512", of=of) for of in (SMOLLM2, GEMMA3)]
        self.assertEqual(done.stdout, b"".join(want))
        self.assertRegex(done.stderr, rb"^2 models, 2 threads, 351 MB of files, \d+ MB of memory\n$")

    def test_cancel(self):
        question = "Tell me a story."
        done = self.said("cancel", model(SMOLLM2), question)
        whole = self.answer(question, 24)
        self.assertTrue(done.stdout.endswith(b"\n" + whole), done.stdout)
        begun = done.stdout[:-len(whole) - 1]
        self.assertGreater(len(begun), 10)
        # How far it came before it was stopped differs; what came does not.
        self.assertTrue(self.answer(question, 400).startswith(begun), begun)
        self.assertRegex(done.stderr, rb"^stopped after [0-9.e-]+ ms\n$")

    def test_json_events(self):
        done = self.said("json_events", model(SMOLLM2), QUESTION)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        text = "".join(e["text"] for e in events if e["event"] == "text")
        self.assertEqual(text.encode() + b"\n", self.answer(QUESTION, 60))
        self.assertEqual(events[0]["event"], "progress")
        self.assertEqual(events[0]["done"], events[0]["total"])
        last = events[-1]
        self.assertEqual((last["event"], last["finish"], last["generated"], last["reused"]),
                         ("done", "length", 60, 0))
        # A template's prompt, counted by the command.
        chat = self.path("chat.json", json.dumps([{"role": "user", "content": QUESTION}]).encode())
        counted = self.ok("tokenize", "-m", model(SMOLLM2), "--chat", chat, "--ids")
        self.assertEqual(last["prompt"], len(counted.split()))

    def test_example_of_every_function(self):
        """docs/api.md shows them."""
        fixture = os.path.join(os.path.dirname(SOURCES), "tests", "fixtures", "convert")
        done = self.said("api_examples", model(SMOLLM2), self.path("small.gguf"),
                         self.path("talk.session"), os.path.join(fixture, "llama_bias"),
                         self.path("converted.gguf"))
        self.assertIn(self.answer(QUESTION, 8) + b"8 tokens\n", done.stdout)
        self.assertIn(b"NIBBLE_NOT_FOUND: none.gguf: ", done.stdout)
        self.assertIn(b"\nstopped\n", done.stdout)
        self.ok("verify", self.path("small.gguf"))
        self.ok("inspect", self.path("converted.gguf"))

    def test_json_events_stop_when_nobody_reads(self):
        with subprocess.Popen([os.path.join(FOLDER, "example_json_events"), model(SMOLLM2),
                               QUESTION], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            process.stdout.close()
            self.assertEqual(process.wait(timeout=60), 0)

    def test_they_say_what_is_wrong(self):
        path = self.path("none.gguf")
        for name, args in (("hello", [path, QUESTION]), ("chat", [path]),
                           ("save_restore", [path, path, QUESTION, QUESTION]),
                           ("two_models", [path, path, QUESTION]), ("cancel", [path, QUESTION])):
            done = example(name, *args, input=b"")
            self.assertEqual((done.returncode, done.stdout), (1, b""), name)
            self.assertIn(b"none.gguf", done.stderr, name)
        done = example("json_events", path, QUESTION)
        self.assertEqual(json.loads(done.stdout)["status"], "NIBBLE_NOT_FOUND")
        self.assertIn("none.gguf", json.loads(done.stdout)["message"])

    def test_they_are_short_and_all_run_here(self):
        with open(__file__, encoding="utf-8") as file:
            tested = set(re.findall(r'(?:said|example)\("(\w+)"', file.read()))
        for path in glob.glob(os.path.join(SOURCES, "*.c*")):
            name = os.path.splitext(os.path.basename(path))[0]
            with open(path, encoding="utf-8") as file:
                self.assertLess(len(file.readlines()), MOST_LINES, path)
            if name != "nf4_reader":  # run by tests/unit/formats
                self.assertIn(name, tested)


if __name__ == "__main__":
    main()
