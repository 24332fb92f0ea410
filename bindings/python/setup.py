"""Builds the library out of the source tree that this folder lies in, and a wheel that has it.

The wheel fits every Python 3 (ctypes needs no extension module) and one kind of machine.
"""
import os
import re
import shutil
import subprocess
import sysconfig

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # before setuptools 70
    from wheel.bdist_wheel import bdist_wheel

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "release")
SCRATCH = os.path.join(ROOT, "build", "python")  # nothing is written beside the sources


def version():
    with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as file:
        return re.search(r"^project\(nibble VERSION ([0-9.]+)", file.read(), re.MULTILINE)[1]


class BuildWithLibrary(build_py):
    def run(self):
        super().run()
        if not os.path.exists(os.path.join(BUILD, "build.ninja")):
            subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True)
        subprocess.run(["cmake", "--build", BUILD, "--target", "nibble_bundled"], check=True)
        target = os.path.join(self.build_lib, "nibble", "lib")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(os.path.join(BUILD, "bundled"), target)


class WithLibrary(Distribution):
    def has_ext_modules(self):
        return True  # or as good as that: it is for one kind of machine


class WheelForAnyPython(bdist_wheel):
    def get_tag(self):
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        return "py3", "none", platform


os.makedirs(SCRATCH, exist_ok=True)
setup(version=version(), distclass=WithLibrary,
      cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": WheelForAnyPython},
      options={"build": {"build_base": SCRATCH}, "egg_info": {"egg_base": SCRATCH}})
