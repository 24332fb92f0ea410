"""`nibble chat` through a pipe: one turn a line, commands, saved conversations, full contexts."""
import json
import os
import signal
import subprocess

from support import GEMMA3, NIBBLE, SMOLLM2, ToolTest, main, model, require, run

require(SMOLLM2, GEMMA3)
M = model(SMOLLM2)
CHAT = ["chat", "-m", M, "--temp", "0", "-n", "12"]


class Pipe(ToolTest):
    def chat(self, text, *more, code=0):
        done = run(*CHAT, *more, stdin=text.encode(), env={"XDG_STATE_HOME": self.folder})
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertNotIn(b"\033", done.stdout + done.stderr)
        self.assertNotIn(b">>>", done.stdout + done.stderr)
        return done.stdout.decode(), done.stderr.decode()

    def test_one_line_is_what_run_answers(self):
        out, _ = self.chat("What is the capital of France?\n")
        again = run("run", M, "What is the capital of France?", "--temp", "0", "-n", "12")
        self.assertEqual(out, again.stdout.decode())
        self.assertEqual(self.chat("What is the capital of France?")[0], out)  # no newline at the end

    def test_nothing_is_kept_of_a_pipe(self):
        self.chat("Hi\n")
        self.assertEqual(os.listdir(self.folder), [])

    def test_second_turn_evaluates_its_own_tokens(self):
        _, err = self.chat("Hello\n/stats\nAnd you?\n/stats\n", "-v")
        counts = [int(line.split()[3]) for line in err.splitlines()
                  if line.startswith("prompt eval count:")]
        reused = [int(line.split()[2]) for line in err.splitlines()
                  if line.startswith("reused tokens:")]
        evals = [int(line.split()[2]) for line in err.splitlines()
                 if line.startswith("eval count:")]
        self.assertEqual(reused[0], 0)
        # All that the session held: the first prompt and the first answer's tokens, which all were
        # run through the model but perhaps the last.
        self.assertGreaterEqual(reused[-1], counts[0] + evals[0] - 1)
        self.assertLess(counts[-1], counts[0])

    def test_blocks_and_continued_lines(self):
        block = self.chat('"""\nName a\ncolour.\n"""\n')[0]
        self.assertEqual(self.chat("Name a\\\ncolour.\n")[0], block)

    def test_system_prompt(self):
        plain = self.chat("Hi\n")[0]
        self.assertNotEqual(self.chat("Hi\n", "-sys", "You are a pirate. Say arr.")[0], plain)
        self.assertEqual(self.chat("/system You are a pirate. Say arr.\nHi\n")[0],
                         self.chat("Hi\n", "-sys", "You are a pirate. Say arr.")[0])

    def test_save_and_load(self):
        path = self.path("chat.json")
        first, _ = self.chat(f"Hello\n/save {path}\n")
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        self.assertEqual([m["role"] for m in saved["messages"]], ["user", "assistant"])
        self.assertEqual(saved["messages"][1]["content"].rstrip("\n"), first.rstrip("\n"))
        straight, _ = self.chat("Hello\nAnd you?\n")
        loaded, _ = self.chat(f"/load {path}\nAnd you?\n")
        self.assertEqual(first + loaded, straight)

    def test_undo_clear_regen(self):
        once, _ = self.chat("Hello\n")
        self.assertEqual(self.chat("Name a colour.\n/undo\nHello\n")[0],
                         self.chat("Name a colour.\n")[0] + once)
        self.assertEqual(self.chat("Name a colour.\n/clear\nHello\n")[0],
                         self.chat("Name a colour.\n")[0] + once)
        self.assertEqual(self.chat("Hello\n/regen\n")[0], once * 2)

    def test_continue(self):
        whole, _ = self.chat("Tell me a story.\n", "-n", "16")
        halves, _ = self.chat("/set parameter num_predict 8\nTell me a story.\n/continue\n")
        self.assertEqual(halves.replace("\n", ""), whole.replace("\n", ""))

    def test_context_shows_the_default_system_prompt(self):
        def parts(*more):
            _, err = self.chat("Hi\n/context\n", *more)
            lines = [line.rsplit(None, 1) for line in err.splitlines()]
            return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}
        own = parts()
        given = parts("-sys", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")
        self.assertGreater(own["system"], 10)
        self.assertLess(own["turn 1 user"], 8)
        self.assertEqual(own, given)

    def test_read(self):
        path = self.path("note.txt", b"The secret word is xylophone.")
        _, err = self.chat(f"/read {path}\nWhat is the secret word?\n/context\n")
        self.assertIn("tokens, sent with your next message", err)
        self.assertIn("turn 1 user", err)

    def test_paths_and_escapes_are_text(self):
        self.assertTrue(self.chat("/etc/passwd is what?\n")[0].strip())
        self.assertTrue(self.chat("//help\n")[0].strip())

    def test_the_chat_goes_on_when_the_context_is_full(self):
        turns = "".join(f"Tell me about the number {i}.\n" for i in range(8))
        out, err = self.chat(turns, "-c", "128", "--reserve", "24")
        self.assertIn("[context full: dropped the oldest 1 turn, ", err)
        self.assertGreaterEqual(out.count("\n"), 8)

    def test_warnings_before_the_context_is_full(self):
        # Four tokens at a time, so that no mark is jumped over; 30 times, which is not all of it.
        more = ("--raw", "-c", "128", "-n", "4", "--logit-bias", "0-inf", "--logit-bias", "2-inf")
        fill = "Once upon a time\n" + "/continue\n" * 29
        _, err = self.chat(fill + "/clear\n" + fill, *more)  # a cleared one counts anew
        full = [line for line in err.splitlines() if " % full: " in line]
        self.assertEqual(len(full), 4, err)
        for line, mark in zip(full, (80, 95, 80, 95)):
            self.assertRegex(line, r"^\[context \d+ % full: \d+ of 128 tokens; ")
            percent, used = int(line.split()[1]), int(line.split()[4])
            self.assertEqual(percent, used * 100 // 128)
            self.assertTrue(mark <= used * 100 / 128 < mark + 4, line)

    def test_overflow_error(self):
        turns = "".join(f"Tell me about the number {i}.\n" for i in range(8))
        _, err = self.chat(turns, "-c", "128", "--reserve", "24", "--overflow", "error", code=5)
        self.assertIn("error: context: ", err)

    def test_base_model_completes(self):
        done = run("chat", "-m", model(GEMMA3), "--temp", "0", "-n", "4",
                   stdin=b"The capital of France is\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.decode().count("\n"), 2, done.stderr)  # notice, cut
        self.assertIn(b"no chat template", done.stderr)
        self.assertEqual(done.stdout, run("run", "--raw", model(GEMMA3), "The capital of France is",
                                          "--temp", "0", "-n", "4").stdout)

    def test_signals(self):
        for name, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
            process = subprocess.Popen([NIBBLE, "chat", "-m", M, "-n", "2"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            process.stdin.write(b"Hi\n")
            process.stdin.flush()
            os.read(process.stdout.fileno(), 1)
            process.stdout.readline()
            process.send_signal(name)
            process.wait(timeout=60)
            self.assertEqual(process.returncode, code)
            process.communicate()


if __name__ == "__main__":
    main()
