"""The Qt app on the real model, driven under Xvfb, or offscreen where that is not installed.
usage: qt_chat_test.py DRIVE [FOLDER for its pictures]"""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
from support import SMOLLM2, model, require  # noqa: E402


def main():
    require(SMOLLM2)
    drive = [os.path.abspath(sys.argv[1]), model(SMOLLM2)]
    env = dict(os.environ)
    if shutil.which("xvfb-run") and shutil.which("xauth"):
        drive = ["xvfb-run", "-a", "-s", "-screen 0 1400x1000x24", *drive]
        env["QT_QPA_PLATFORM"] = "xcb"
    else:
        print("SKIPPED: the Qt app on a display: xvfb and xauth are not installed; run offscreen")
        env["QT_QPA_PLATFORM"] = "offscreen"
    with tempfile.TemporaryDirectory(prefix="nibble_qt_") as folder:
        target = sys.argv[2] if len(sys.argv) > 2 else folder
        sys.exit(subprocess.run([*drive, target], env=env, check=False).returncode)


if __name__ == "__main__":
    main()
