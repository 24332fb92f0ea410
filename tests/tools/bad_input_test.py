"""Bad input of every kind: the documented exit code, one error line that names the thing, one hint
line, nothing on standard output, nothing half-written."""
import os
import subprocess

from support import NIBBLE, SMOLLM2, ToolTest, gguf, main, model, require

require(SMOLLM2)
M = model(SMOLLM2)
MODEL_COMMANDS = {  # what makes each a complete command line
    "run": ["hi"],
    "chat": [],
    "tokenize": ["hi"],
    "inspect": [],
    "logits": ["--tokens", "1", "--top", "1"],
    "perplexity": ["-p", "text"],
    "bench": ["-p", "1", "-n", "1"],
}


class BadModels(ToolTest):
    def check_all(self, path, word):
        for command, rest in MODEL_COMMANDS.items():
            with self.subTest(command=command):
                error, _ = self.refused(3, command, "-m", path, *rest)
                self.assertIn(word, error)

    def test_missing(self):
        self.check_all("/no/such/model.gguf", "/no/such/model.gguf")

    def test_unknown_name(self):
        self.check_all("nosuchmodel", "nosuchmodel")

    def test_empty(self):
        self.check_all(self.path("empty.gguf", b""), "empty.gguf")

    def test_directory(self):
        self.check_all(self.folder, self.folder)

    def test_foreign(self):
        self.check_all(self.path("page.gguf", b"<!DOCTYPE html><html>Not found</html>" * 9),
                       "page.gguf")

    def test_truncated(self):
        with open(M, "rb") as file:
            head = file.read(5_000_000)
        for size in (3, 4, 8, 24, 1000, 5_000_000):
            path = self.path("cut.gguf", head[:size])
            with self.subTest(size=size):
                for command in ("run", "inspect"):
                    error, _ = self.refused(3, command, path, *MODEL_COMMANDS[command])
                    self.assertIn("cut.gguf", error)

    def test_unsupported_architecture(self):
        path = self.path("new.gguf", gguf({"general.architecture": "brandnew"}))
        error, _ = self.refused(3, "run", path, "hi")
        self.assertIn("brandnew", error)

    def test_unreadable(self):
        path = self.path("secret.gguf", gguf({}))
        os.chmod(path, 0)
        if os.access(path, os.R_OK):
            self.skipTest("permissions do not bind this user")
        self.check_all(path, "secret.gguf")

    def test_device(self):
        self.refused(3, "run", "/dev/zero", "hi")

    def test_control_characters_in_a_name(self):
        error, hint = self.refused(3, "run", "a\033[31m\nb", "hi")
        self.assertNotIn("\033", error + hint)

    def test_default_model_absent(self):
        env = {"XDG_CACHE_HOME": self.folder}
        error, hint = self.refused(3, "chat", env=env)
        self.assertIn(SMOLLM2, error)
        self.assertIn("make chat", hint)
        os.chmod(self.folder, 0o500)  # a read-only cache folder changes nothing
        self.refused(3, "chat", env=env)
        os.chmod(self.folder, 0o700)


class BadCommandLines(ToolTest):
    CASES = [
        (["frobnicate"], "frobnicate"),
        (["caht"], "caht"),
        (["--frob"], "--frob"),
        (["help", "frobnicate"], "frobnicate"),
        (["run"], "model"),
        (["run", M], "prompt"),
        (["run", M, ""], "prompt"),
        (["run", M, "two", "words"], "words"),
        (["run", M, "x", "--tmep", "1"], "--tmep"),
        (["run", M, "x", "--temp"], "--temp"),
        (["run", M, "x", "--temp", "hot"], "hot"),
        (["run", M, "x", "--temp", "-1"], "-1"),
        (["run", M, "x", "--temp", "nan"], "nan"),
        (["run", M, "x", "--top-p", "1.5"], "1.5"),
        (["run", M, "x", "--min-p", "-0.1"], "-0.1"),
        (["run", M, "x", "--top-k", "1.5"], "1.5"),
        (["run", M, "x", "--top-k", "99999999999999999999"], "9999"),
        (["run", M, "x", "--repeat-penalty", "0"], "more than 0"),
        (["run", M, "x", "-c", "32q"], "32q"),
        (["run", M, "x", "-c", "-5"], "-5"),
        (["run", M, "x", "-c", "9999999999999G"], "9999999999999G"),
        (["run", M, "x", "-n", "-2"], "-2"),
        (["run", M, "x", "-t", "100000"], "100000"),
        (["run", M, "x", "-ub", "0"], "0"),
        (["run", M, "x", "-s", "abc"], "abc"),
        (["run", M, "x", "--isa", "mmx"], "mmx"),
        (["run", M, "x", "-ctk", "q5_0"], "q5_0"),
        (["run", M, "x", "-ctk", "f16", "-ctv", "f32"], "-ctv"),
        (["run", M, "x", "--samplers", "top_k,tempo"], "tempo"),
        (["run", M, "x", "--logit-bias", "5"], "5"),
        (["run", M, "x", "--logit-bias", "99999999+1"], "99999999"),
        (["run", M, "x", "--overflow", "shift"], "shift"),
        (["run", M, "x", "--stop", ""], "--stop"),
        (["tokenize", "-m", M], "text"),
        (["tokenize", "-m", M, "a", "-f", "b"], "text"),
        (["tokenize", "-m", M, "a", "--chat", "b"], "text"),
        (["tokenize", "-m", M, "a", "--count", "--price", "1"], "--price"),
        (["tokenize", "-m", M, "a", "--count", "--price", "1", "-1"], "--price"),
        (["tokenize", "-m", M, "a", "--price", "1", "2"], "--count"),
        (["tokenize", "-m", M, "a", "--count", "--ids"], "--count"),
        (["tokenize", "-m", M, "a", "--count", "-0"], "-0"),
        (["inspect"], "model"),
        (["inspect", M, "extra"], "extra"),
        (["logits", "-m", M], "--tokens"),
        (["logits", "-m", M, "--tokens", "1"], "--top"),
        (["logits", "-m", M, "--tokens", "1", "--top", "3", "-o", "x.npy"], "--top"),
        (["logits", "-m", M, "--tokens", "1,,x", "--top", "3"], "x"),
        (["logits", "-m", M, "--tokens", "1,-2", "--top", "3"], "-2"),
        (["logits", "-m", M, "--tokens", "49152", "--top", "3"], "49152"),
        (["perplexity", "-m", M], "text"),
        (["perplexity", "-m", M, "-f", "x", "-c", "2"], "--ctx-size"),
        (["bench", "-m", M, "-o", "xml"], "xml"),
        (["bench", "-m", M, "-p", "0", "-n", "0"], "test"),
        (["bench", "-m", M, "-r", "0"], "0"),
    ]

    def test_all(self):
        for args, word in self.CASES:
            with self.subTest(args=args):
                error, _ = self.refused(2, *args, stdin=None)
                self.assertIn(word, error)

    def test_suggestions(self):
        for args, word in [(["caht"], "nibble chat"), (["run", M, "x", "--tmep", "1"], "--temp"),
                           (["run", M, "x", "--samplers", "tpo_k"], "top_k"),
                           (["tokenise"], "nibble tokenize")]:
            _, hint = self.refused(2, *args)
            self.assertIn("did you mean", hint)
            self.assertIn(word, hint)


class BadRuns(ToolTest):
    def test_prompt_over_the_context(self):
        error, _ = self.refused(5, "run", M, "word " * 300, "-c", "128")
        self.assertIn("128", error)
        self.refused(5, "run", M, "--raw", "word " * 300, "-c", "128")
        self.refused(5, "logits", "-m", M, "-p", "word " * 300, "-c", "128", "--top", "1")
        self.refused(5, "logits", "-m", M, "-p", "word " * 300, "-c", "128", "-o",
                     self.path("x.npy"))
        self.assertEqual(os.listdir(self.folder), [])
        self.refused(5, "chat", "-m", M, "-c", "128", stdin=b"word " * 300)

    def test_memory_plan_impossible(self):
        error, _ = self.refused(4, "run", M, "hi", "-c", "1G")
        self.assertIn("memory", error)

    def test_files(self):
        error, _ = self.refused(1, "run", M, "-f", "/no/such/prompt.txt")
        self.assertIn("/no/such/prompt.txt", error)
        self.refused(1, "tokenize", "-m", M, "-f", self.folder)
        self.refused(1, "perplexity", "-m", M, "-f", "/no/such/text.txt")
        self.refused(1, "perplexity", "-m", M, "-p", "too short")

    def test_npy_output(self):
        error, _ = self.refused(1, "logits", "-m", M, "--tokens", "1", "-o", "/no/such/x.npy")
        self.assertIn("/no/such", error)
        copy = self.path("model.gguf")
        os.symlink(M, copy)
        before = os.stat(M).st_mtime_ns
        self.refused(2, "logits", "-m", M, "--tokens", "1", "-o", copy)
        self.refused(2, "logits", "-m", copy, "--tokens", "1", "-o", M)
        self.assertEqual(os.stat(M).st_mtime_ns, before)
        self.refused(2, "logits", "-m", M, "--tokens", "1", "-o", self.folder)

    def test_failed_npy_leaves_the_old_file(self):
        path = self.path("x.npy", b"old")
        self.refused(2, "logits", "-m", M, "--tokens", "1,49152", "-o", path)
        self.assertEqual(os.listdir(self.folder), ["x.npy"])
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"old")

    def test_full_or_closed_output(self):
        for command in (["tokenize", "-m", M, "hi"], ["run", M, "hi", "-n", "3"], ["help"],
                        ["inspect", M], ["run", "--help"], ["--version"]):
            for redirect in (">/dev/full", ">&-"):
                with self.subTest(command=command, redirect=redirect):
                    done = subprocess.run(["sh", "-c", f'"$@" {redirect}', "sh", NIBBLE, *command],
                                          capture_output=True, stdin=subprocess.DEVNULL)
                    self.assertEqual(done.returncode, 1, done)
                    self.assertTrue(done.stderr.startswith(b"error: standard output: "), done)

    def test_closed_input_and_error(self):
        done = subprocess.run(["sh", "-c", '"$@" <&- 2>&-', "sh", NIBBLE, "tokenize", "-m", M,
                               "--ids", "Hello world"], capture_output=True)
        self.assertEqual((done.returncode, done.stdout), (0, b"19556 905\n"))

    def test_reader_that_goes_away(self):
        """Ended by SIGPIPE like any other command, and silently."""
        done = subprocess.run(["bash", "-c", 'set -o pipefail; "$@" | head -c 1', "bash", NIBBLE,
                               "tokenize", "-m", M, "word " * 20000], capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (128 + 13, b""))

    def test_unknown_slash_command_in_a_pipe(self):
        error, hint = self.refused(2, "chat", "-m", M, stdin=b"/halp\n")
        self.assertIn("/halp", error)
        self.assertIn("/help", hint)
        self.refused(1, "chat", "-m", M, stdin=b"/load /no/such/chat.json\n")
        self.refused(1, "chat", "-m", M, stdin=b"/read /no/such/file\n")
        other = self.path("other.json", b'{"a": 1}')
        self.refused(1, "chat", "-m", M, stdin=f"/load {other}\n".encode())
        self.refused(2, "chat", "-m", M, stdin=b"/set parameter temperature hot\n")
        self.refused(2, "chat", "-m", M, stdin=b"/continue\n")
        self.refused(2, "chat", "-m", M, stdin=b"/undo\n")
        self.refused(2, "chat", "-m", M, stdin=b"/regen\n")


if __name__ == "__main__":
    main()
