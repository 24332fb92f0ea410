"""The Node package: built by npm install, packed, installed into an empty project, tested there.
usage: node_test.py NIBBLE SOURCE BUILD"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from support import NIBBLE, SMOLLM2, model, require, skip  # noqa: E402

SOURCE, BUILD = (os.path.abspath(path) for path in sys.argv[2:4])
PACKAGE = os.path.join(SOURCE, "bindings", "node")
NPM = ["npm", "--offline", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]


def run(*args, **more):
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **more)
    print(done.stdout, end="")
    if done.returncode != 0:
        sys.exit(f"FAILED: {' '.join(args[:8])} ...")
    return done.stdout


def expect_node():
    if not shutil.which("node") or not shutil.which("npm"):
        skip("the Node package is not tested: node and npm are not installed")
    version = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=True)
    numbers = [int(n) for n in re.findall(r"\d+", version.stdout)]
    if numbers[:2] < [18, 17]:
        skip(f"the Node package is not tested: node is {version.stdout.strip()}, not 18.17 or newer")
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(shutil.which("node"))))
    if not any(os.path.exists(os.path.join(place, "node_api.h")) for place in
               (f"{prefix}/include/node", "/usr/include/node", "/usr/include/nodejs/src")):
        skip("the Node package is not tested: libnode-dev is not installed")


def main():
    require(SMOLLM2)
    expect_node()
    if os.path.realpath(BUILD) != os.path.join(os.path.realpath(SOURCE), "build", "release"):
        skip("the Node package is built from build/release")
    with tempfile.TemporaryDirectory(prefix="nibble_npm_") as folder:
        built = run(*NPM, "install", cwd=PACKAGE)
        if "warning:" in built:
            sys.exit("FAILED: the addon compiles with warnings")
        run(*NPM, "pack", "--pack-destination", folder, cwd=PACKAGE)
        package, = glob.glob(os.path.join(folder, "nibble-*.tgz"))
        app = os.path.join(folder, "app")
        os.mkdir(app)
        run(*NPM, "install", "--prefix", app, package, cwd=app)
        env = {**os.environ, "NIBBLE": NIBBLE, "NIBBLE_MODEL": model(SMOLLM2),
               "NIBBLE_PACKAGE": os.path.join(app, "node_modules", "nibble")}
        run("node", "--test", os.path.join(PACKAGE, "test", "nibble.test.js"), env=env, cwd=app)


if __name__ == "__main__":
    main()
