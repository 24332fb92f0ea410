"""The Python package: its wheel is built, installed into an empty folder, and tested there.
usage: python_test.py NIBBLE SOURCE BUILD"""
import glob
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from support import NIBBLE, SMOLLM2, model, require, skip  # noqa: E402

SOURCE, BUILD = sys.argv[2:4]
SOURCE, BUILD = os.path.abspath(SOURCE), os.path.abspath(BUILD)
PACKAGE = os.path.join(SOURCE, "bindings", "python")


def run(*args, python=sys.executable, **more):
    done = subprocess.run([python, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, **more)
    print(done.stdout, end="")
    if done.returncode != 0:
        sys.exit(f"FAILED: {' '.join(args[:4])} ...")


def has(module, python=sys.executable):
    find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", find], check=False).returncode == 0


def builder():
    """A Python with what a wheel needs; the test asks no network for it."""
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and all(has(m, python) for m in ("pip", "setuptools", "wheel")):
            return python
    return skip("no wheel of the Python package: pip, setuptools and wheel are not installed "
                "(tools/setup/packages.sh model)")


def main():
    require(SMOLLM2)
    if os.path.realpath(BUILD) != os.path.join(os.path.realpath(SOURCE), "build", "release"):
        skip("the wheel is built from build/release")
    python = builder()
    with tempfile.TemporaryDirectory(prefix="nibble_wheel_") as folder:
        site = os.path.join(folder, "site")
        run("-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps",
            "--no-build-isolation", PACKAGE, "-w", folder, python=python)
        wheel, = glob.glob(os.path.join(folder, "nibble-*-py3-none-*.whl"))
        run("-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-index",
            "--root-user-action=ignore", "--target", site, wheel, python=python)
        env = {**os.environ, "PYTHONPATH": site, "NIBBLE": NIBBLE, "NIBBLE_MODEL": model(SMOLLM2),
               "PYTHONDONTWRITEBYTECODE": "1",
               "NIBBLE_TOOL_TESTS": os.path.join(SOURCE, "tests", "tools")}
        run("-m", "unittest", "discover", "-s", os.path.join(PACKAGE, "tests"), "-t",
            os.path.join(PACKAGE, "tests"), env=env, cwd=folder)
        if has("mypy"):
            run("-m", "mypy", "--strict", "--cache-dir", os.path.join(folder, "cache"), "-p",
                "nibble", env=env, cwd=folder)
        else:
            print("SKIPPED: mypy is not installed: the annotations of the Python package are not "
                  "checked")


if __name__ == "__main__":
    main()
