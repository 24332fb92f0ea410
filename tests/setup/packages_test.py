#!/usr/bin/env python3
"""The installer of packages against stand-ins for dpkg-query, apt-get, sudo and id: when it acts, as
whom, and what it says when it cannot. `packages_test.py SOURCE`"""
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(sys.argv.pop(1), "tools", "setup", "packages.sh").resolve()
TOOLS = ["sh", "sed", "grep", "dirname", "mktemp", "rm", "tail", "env"]


class PackagesTest(unittest.TestCase):
    def setUp(self):
        self.work = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.work)
        self.bin = self.work / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.log = self.work / "log"
        self.stub("apt-get", f'echo "apt-get $*" >>{self.log}')
        self.stub("sudo", f'echo sudo >>{self.log}; exec "$@"')
        self.root(True)
        self.installed("abigail-tools", "clang-format-14", "dpkg-dev", "file", "strace", "tmux")

    def stub(self, name, body):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def root(self, yes):
        self.stub("id", f"echo {0 if yes else 1000}")

    def installed(self, *packages, removed=()):
        lines = [f"echo 'ii {p}'" for p in packages] + [f"echo 'rc {p}'" for p in removed]
        self.stub("dpkg-query", "\n".join(lines + ["exit 1"]))

    def run_script(self, group="test"):
        done = subprocess.run([SCRIPT, group], env={"PATH": str(self.bin), "TMPDIR": str(self.work)},
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout, "")
        return done, self.log.read_text().splitlines() if self.log.exists() else []

    def assert_refused(self, done, expected):
        self.assertEqual(done.returncode, 1)
        said = [line for line in done.stderr.splitlines() if not line.startswith("setup:")]
        self.assertEqual([line.split(":")[0] for line in said], ["error", "hint"], done.stderr)
        self.assertIn(expected, said[0])

    def test_nothing_to_do(self):
        done, log = self.run_script()
        self.assertEqual((done.returncode, done.stderr, log), (0, "", []))

    def test_only_what_is_missing(self):
        self.installed("abigail-tools", "dpkg-dev", "file", "strace", "tmux", removed=["clang-format-14"])
        done, log = self.run_script()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("setup: installing Debian packages: clang-format-14\n", done.stderr)
        self.assertIn("update", log[0])
        self.assertRegex(log[1], "install -y --no-install-recommends clang-format-14$")
        self.assertNotIn("sudo", log)

    def test_sudo_when_not_root(self):
        self.installed("abigail-tools", "dpkg-dev", "file", "strace", "tmux")
        self.root(False)
        done, log = self.run_script()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("with sudo", done.stderr)
        self.assertEqual(log.count("sudo"), 2)

    def test_neither_root_nor_sudo(self):
        self.installed("abigail-tools", "dpkg-dev", "file", "strace", "tmux")
        self.root(False)
        (self.bin / "sudo").unlink()
        done, log = self.run_script()
        self.assert_refused(done, "no sudo: clang-format-14")
        self.assertEqual(log, [])

    def test_apt_fails(self):
        self.installed("abigail-tools", "dpkg-dev", "file", "strace", "tmux")
        self.stub("apt-get", "echo 'W: so so'; echo 'E: no way to the archive' >&2; exit 100")
        done, _ = self.run_script()
        self.assert_refused(done, "no way to the archive")
        self.assertEqual([p.name for p in self.work.glob("tmp*")], [])

    def test_a_system_without_apt(self):
        (self.bin / "apt-get").unlink()
        (self.bin / "dpkg-query").unlink()
        done, _ = self.run_script()
        self.assert_refused(done, "no apt-get")
        for tool in ("cmake", "ninja"):
            self.stub(tool, "true")
        self.assertEqual(self.run_script()[0].returncode, 0)

    def test_unknown_group(self):
        self.assert_refused(self.run_script("nonsense")[0], "unknown group nonsense")


if __name__ == "__main__":
    unittest.main()
