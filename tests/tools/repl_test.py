"""The chat in a real terminal, driven through tmux: what a person sees and does."""
import os
import shutil
import signal
import subprocess
import time

from support import (FullPipe, NIBBLE, SMOLLM2, ToolTest, main, model, require, skip,
                     wait_for_handlers)

if shutil.which("tmux") is None:
    skip("tmux is not installed; Debian package tmux")
require(SMOLLM2)
M = model(SMOLLM2)
PLACEHOLDER = "Send a message (/? for help)"


class Terminal:
    """One tmux server of its own with the chat in its only pane."""

    def __init__(self, folder, *args, before="", redirect="", env=("-u", "NO_COLOR")):
        self.socket = os.path.join(folder, f"tmux{time.monotonic_ns()}")
        command = " ".join(f"'{a}'" for a in [NIBBLE, "chat", "-m", M, "--temp", "0", *args])
        # At the end the exit code is shown, and that the terminal is as it was. The shell has job
        # control, so that a suspended chat gives it the turn; Enter brings the chat back.
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "200", "env",
                  *env, f"XDG_STATE_HOME={folder}/state", "LC_ALL=C.UTF-8", "sh", "-c",
                  "mode() { stty -a | grep -oE ' -?(icanon|echo)\\b' | tr -d '\\n'; }; "
                  f"{before} set -m; {command} {redirect}; code=$?; "
                  'while [ $code = 148 ]; do '  # 128 + SIGTSTP
                  'echo "suspended$(mode)"; read -r enter; fg >/dev/null; code=$?; done; '
                  'echo "ended $code$(mode)"; sleep 100')

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, *args], check=True, capture_output=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout.decode()

    def mode(self):
        """Of the terminal, as it is now."""
        tty = self.tmux("list-panes", "-F", "#{pane_tty}").strip()
        words = subprocess.run(["stty", "-a", "-F", tty], check=True, capture_output=True).stdout
        return {word for word in words.decode().replace(";", " ").split()
                if word.lstrip("-") in ("icanon", "echo")}

    def shell(self):
        return self.tmux("list-panes", "-F", "#{pane_pid}").strip()

    @staticmethod
    def program_of(shell):
        """Process of the chat; waits until the shell has started it."""
        while True:
            with open(f"/proc/{shell}/task/{shell}/children", encoding="ascii") as children:
                for child in children.read().split():
                    with open(f"/proc/{child}/comm", encoding="ascii") as comm:
                        if comm.read().strip() == os.path.basename(NIBBLE)[:15]:
                            return int(child)

    def close(self):
        self.tmux("kill-server")

    def screen(self):
        """Lines without trailing space, without empty ones at the end."""
        return self.tmux("capture-pane", "-p").rstrip("\n")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def paste(self, text):
        self.tmux("set-buffer", text)
        self.tmux("paste-buffer", "-p")

    def wait(self, condition, what, seconds=90):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            screen = self.screen()
            if condition(screen):
                return screen
            time.sleep(0.03)
        raise AssertionError(f"{what} did not appear:\n{self.screen()}")

    def wait_for(self, text, seconds=90):
        return self.wait(lambda screen: text in screen, repr(text), seconds)

    def wait_prompt(self, seconds=90):
        """An empty prompt at the end of the screen."""
        return self.wait(lambda s: s.split("\n")[-1] in (">>>", ">>> " + PLACEHOLDER), "prompt",
                         seconds)

    def say(self, text):
        self.type(text)
        self.keys("Enter")
        time.sleep(0.1)
        return self.wait_prompt()


class Repl(ToolTest):
    def start(self, *args, **more):
        terminal = Terminal(self.folder, *args, **more)
        self.addCleanup(terminal.close)
        terminal.wait_prompt()
        return terminal

    @staticmethod
    def figures(screen, name):
        return [line.split(":")[1].split()[0] for line in screen.split("\n")
                if line.startswith(name)]

    def test_two_turns_and_figures(self):
        t = self.start("-n", "12")
        banner = t.screen().split("\n")
        self.assertLessEqual(len(banner), 4)
        self.assertEqual(banner[-1], ">>> " + PLACEHOLDER)
        t.say("Hello there")
        screen = t.say("/stats")
        first_prompt = int(self.figures(screen, "prompt eval count")[-1])
        first_answer = int(self.figures(screen, "eval count")[-1])
        self.assertEqual(self.figures(screen, "reused tokens"), ["0"])
        self.assertIn("[ Prompt: ", screen)
        t.say("Why?")
        screen = t.say("/stats")
        # The session held the first prompt and its answer; only what the second turn added is new.
        self.assertGreaterEqual(int(self.figures(screen, "reused tokens")[-1]),
                                first_prompt + first_answer - 1)
        self.assertLess(int(self.figures(screen, "prompt eval count")[-1]), first_prompt)
        screen = t.say("/context")
        self.assertIn("turn 2 assistant", screen)
        t.keys("C-d")
        self.assertIn(" icanon", t.wait_for("ended 0"))

    def test_interrupt_keeps_the_chat(self):
        t = self.start("--logit-bias", "2-inf")  # it never ends by itself
        t.type("Tell me a long story.")
        t.keys("Enter")
        t.wait(lambda s: len(s.split("\n")[-1]) > 10 and ">>>" not in s.split("\n")[-1], "an answer")
        t.keys("C-c")
        t.wait_for("[stopped; /continue goes on]", 20)
        t.wait_prompt(5)
        t.say("/set parameter num_predict 4")
        before = t.screen()
        screen = t.say("/continue")
        self.assertEqual(screen.count("[cut after 4 tokens"), before.count("[cut after 4 tokens") + 1)
        self.assertIn("turn 1 assistant", t.say("/context"))

    def test_interrupt_at_the_prompt(self):
        t = self.start()
        t.keys("C-c")
        t.wait_for("Use Ctrl-D or /bye to exit.")
        t.wait_prompt()
        t.type("some text")
        t.wait_for("some text")
        t.keys("C-c")
        t.wait_prompt()
        self.assertEqual(t.screen().count("Use Ctrl-D"), 1)
        t.type("/bye")
        t.keys("Enter")
        t.wait_for("ended 0")

    ANSWERING = staticmethod(
        lambda s: len(s.split("\n")[-1]) > 10 and ">>>" not in s.split("\n")[-1])

    def test_interrupt_while_the_model_loads(self):
        # The shell starts the chat on Enter, when this test already looks out for it.
        t = Terminal(self.folder, before="echo ready; read -r enter;")
        self.addCleanup(t.close)
        t.wait_for("ready")
        shell = t.shell()
        t.keys("Enter")
        pid = t.program_of(shell)
        wait_for_handlers(pid)
        os.kill(pid, signal.SIGINT)
        screen = t.wait_for("ended 130 icanon echo")
        self.assertIn("error: cancelled", screen)
        self.assertNotIn(">>>", screen)

    def test_second_interrupt_ends_a_chat_that_is_stuck(self):
        pipe = FullPipe(self.path("out"))
        self.addCleanup(pipe.close)
        t = self.start("--logit-bias", "2-inf", redirect=f"> '{pipe.path}'")
        t.type("Tell me a long story.")
        t.keys("Enter")
        pipe.wait_for_text()
        pipe.fill()
        while "ended" not in t.screen():  # the first of two within a second does not end it
            t.keys("C-c")
            time.sleep(0.05)
        t.wait_for("ended 130 icanon echo")

    def test_suspend_at_the_prompt(self):
        t = self.start("-n", "3")
        t.type("half a line")
        t.wait_for(">>> half a line")
        t.keys("C-z")
        t.wait_for("suspended icanon echo")
        t.keys("Enter")
        t.wait(lambda s: s.split("\n")[-1] == ">>> half a line", "the line again")
        t.say(", and the rest")
        self.assertIn("turn 1 assistant", t.say("/context"))
        t.keys("C-d")
        t.wait_for("ended 0 icanon echo")

    def test_suspend_while_answering(self):
        t = self.start("--logit-bias", "2-inf")
        t.type("Tell me a long story.")
        t.keys("Enter")
        t.wait(self.ANSWERING, "an answer")
        t.keys("C-z")
        t.wait_for("suspended icanon echo")
        t.keys("Enter")
        # It goes on, with the terminal silent as before.
        t.wait(lambda s: len(s.split("suspended")[-1]) > 100, "more of the answer")
        t.wait(lambda s: t.mode() == {"-icanon", "-echo"}, "a silent terminal")
        t.keys("C-c")
        t.wait_for("[stopped; /continue goes on]", 20)
        t.wait_prompt()
        t.keys("C-d")
        t.wait_for("ended 0 icanon echo")

    def test_line_in_the_users_editor(self):
        script = self.path("editor", b"#!/bin/sh\nstty -a | grep -q ' icanon' && [ -t 1 ] || exit 9\n"
                                     b"cp \"$1\" \"$0.got\"\nprintf 'from the\\neditor\\n' > \"$1\"\n")
        os.chmod(script, 0o700)
        t = self.start("-n", "3", env=("-u", "NO_COLOR", f"VISUAL={script}", "EDITOR=false"))
        t.type("wörld")
        t.keys("C-b", "C-g")  # the cursor may be anywhere
        t.wait(lambda s: s.endswith(">>> from the\neditor"), "the editor's text")
        with open(script + ".got", encoding="utf-8") as file:
            self.assertEqual(file.read(), "wörld\n")
        t.type("!")
        t.wait(lambda s: s.endswith("editor!"), "text behind it")
        t.keys("Enter")
        time.sleep(0.1)
        t.wait_prompt()
        screen = t.say("/context")
        self.assertIn("turn 1 assistant", screen)
        self.assertNotIn("turn 2", screen)

    def test_editor_that_fails(self):
        t = self.start("-n", "3", env=("-u", "NO_COLOR", "-u", "VISUAL", "EDITOR=false"))
        t.type("as it was")
        t.keys("C-g")
        t.wait_for("error: editor: false: ended with exit code 1")
        t.wait(lambda s: s.endswith(">>> as it was"), "the line")
        t.keys("C-c")
        t.wait_prompt()

    def test_paste_is_one_message(self):
        t = self.start("-n", "3")
        t.paste("first line\nsecond line\n/help is not a command here\n")
        t.wait_for("/help is not a command here")
        self.assertNotIn("[ Prompt", t.screen())
        t.keys("Enter")
        time.sleep(0.1)
        t.wait_prompt()
        screen = t.say("/context")
        self.assertIn("turn 1 assistant", screen)
        self.assertNotIn("turn 2", screen)
        self.assertNotIn("Commands:", screen)

    def test_several_lines(self):
        t = self.start("-n", "3")
        t.type("one")
        t.keys("C-j")
        t.type("two")
        t.keys("Enter")
        time.sleep(0.1)
        t.wait_prompt()
        t.type('"""')
        t.keys("Enter")
        t.wait_for("...")
        t.type("/help")
        t.keys("Enter")
        t.type('"""')
        t.keys("Enter")
        time.sleep(0.1)
        t.wait_prompt()
        screen = t.say("/context")
        self.assertIn("turn 2 assistant", screen)
        self.assertNotIn("turn 3", screen)

    def test_history_across_restarts(self):
        t = self.start("-n", "2")
        t.say("a remarkable question")
        t.paste("two\nlines")
        t.keys("Enter")
        time.sleep(0.1)
        t.wait_prompt()
        t.keys("C-d")
        t.wait_for("ended 0")
        path = os.path.join(self.folder, "state", "nibble", "history")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        t = self.start("-n", "2")
        t.keys("Up")
        t.wait(lambda s: s.endswith(">>> two\nlines"), "the last message")
        t.keys("Up")
        t.wait(lambda s: s.endswith(">>> a remarkable question"), "the message before")
        t.keys("C-c")
        t.wait_prompt()
        t.keys("C-r")
        t.type("remark")
        t.wait_for("a remarkable question")
        t.keys("C-c")
        quiet = self.start("-n", "2", "--no-history")
        quiet.keys("Up")
        quiet.say("not kept")
        with open(path, encoding="utf-8") as file:
            self.assertNotIn("not kept", file.read())

    def test_keys(self):
        t = self.start("-n", "2")
        t.type("wörld 日本")
        t.keys("C-a")
        t.type("Hello ")
        t.wait_for(">>> Hello wörld 日本")
        t.keys("C-e", "C-w")
        t.wait(lambda s: s.endswith(">>> Hello wörld"), "a line without its last word")
        t.keys("C-u")
        t.type("/und")
        t.keys("Tab")
        t.wait_for(">>> /undo")
        t.keys("C-c")
        t.type("/undoo")
        t.keys("Enter")
        t.wait_for("hint: did you mean /undo?")

    def test_no_color(self):
        t = self.start(env=("NO_COLOR=1",))
        self.assertEqual(t.screen().split("\n")[-1], ">>>")  # a grey placeholder needs grey
        self.assertNotIn("\033[", t.tmux("capture-pane", "-p", "-e"))

    def test_terminated_in_the_middle(self):
        """SIGTERM ends an answer and the chat; the terminal is given back as it was."""
        t = self.start("--logit-bias", "2-inf")
        t.type("Tell me a long story.")
        t.keys("Enter")
        t.wait(lambda s: len(s.split("\n")[-1]) > 10 and ">>>" not in s.split("\n")[-1], "an answer")
        os.kill(t.program_of(t.shell()), signal.SIGTERM)
        self.assertIn(" icanon", t.wait_for("ended 0", 30))

    def test_typing_ahead_waits(self):
        t = self.start("-n", "16")
        t.type("Tell me a story.")
        t.keys("Enter")
        t.type("/stats")
        t.keys("Enter")
        t.wait_for("total duration:")

    def test_model_text_goes_to_standard_output_alone(self):
        path = self.path("answer.txt")
        t = self.start("-n", "6", redirect=f"> '{path}'")
        t.say("Hello there")
        t.keys("C-d")
        t.wait_for("ended 0")
        with open(path, "rb") as file:
            text = file.read()
        self.assertNotIn(b"\033", text)
        self.assertNotIn(b">>>", text)
        self.assertNotIn(b"Prompt", text)
        self.assertTrue(text.strip())


if __name__ == "__main__":
    main()
