"""The examples on the real model: what each says is what the command says."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from support import SMOLLM2, ToolTest, main, model, require, run  # noqa: E402

require(SMOLLM2)
FOLDER = sys.argv[2]
QUESTION = "What is the capital of France?"


def example(name, *args):
    return subprocess.run([os.path.join(FOLDER, "example_" + name), *args], capture_output=True,
                          timeout=300)


class Examples(ToolTest):
    def test_hello(self):
        want = run("run", model(SMOLLM2), QUESTION, "--temp", "0", "-n", "60")
        done = example("hello", model(SMOLLM2), QUESTION)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, want.stdout)
        self.assertEqual(done.stderr, b"")

    def test_hello_says_what_is_wrong(self):
        done = example("hello", self.path("none.gguf"), QUESTION)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, b"")
        self.assertIn(b"none.gguf", done.stderr)


if __name__ == "__main__":
    main()
