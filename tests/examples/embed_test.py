"""Follows docs/embed.md line by line in an empty folder; what its programs say is what the command
says. usage: embed_test.py NIBBLE SOURCE BUILD

Of its first step, cloning and building, only the installation is done: the rest is how this test came
to be run.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from support import SMOLLM2, ToolTest, main, model, require, run  # noqa: E402

require(SMOLLM2)
SOURCE, BUILD = (os.path.abspath(path) for path in sys.argv[2:4])
PAGE = os.path.join(SOURCE, "docs", "embed.md")


def steps():
    """(name of a file or None, language, text) of every block."""
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    found = re.finditer(r"(?:^`([\w.]+)`:\n\n)?^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block.groups() for block in found]


class Page(ToolTest):
    def test_it_works_as_it_stands(self):
        (_, _, first), *rest = steps()
        install = [line for line in first.split("\n") if line.startswith("cmake --install ")]
        self.assertEqual(len(install), 1)
        self.assertGreaterEqual(len(rest), 6)
        os.makedirs(os.path.join(self.folder, ".cache", "nibble", "models"))
        os.symlink(model(SMOLLM2),
                   os.path.join(self.folder, ".cache", "nibble", "models", SMOLLM2))
        script = ["set -eu", install[0].replace("build/release", BUILD)]
        for name, language, text in rest:
            if language == "sh":
                script.append(text)
            else:
                self.assertIsNotNone(name, text)
                script.append(f"cat >{name} <<'END_OF_FILE'\n{text}END_OF_FILE")
        env = {**os.environ, "HOME": self.folder}
        done = subprocess.run(["sh", "-c", "\n".join(script)], cwd=self.folder, env=env, timeout=300,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        want = run("run", model(SMOLLM2), "Give me three tips for better sleep.", "--temp", "0",
                   "-n", "60").stdout
        self.assertGreater(len(want), 80)
        self.assertEqual(done.stdout.count(want), 2, done.stdout)

    def test_what_it_names_is_there(self):
        with open(PAGE, encoding="utf-8") as file:
            for link in re.findall(r"\]\(([^)]+)\)", file.read()):
                self.assertTrue(os.path.exists(os.path.join(SOURCE, "docs", link)), link)


if __name__ == "__main__":
    main()
