"""Commands that write model files, killed at random moments or on a full disk: the old file stays as it
was, the next run ends well, and nothing is left beside its file."""
import os
import random
import signal
import subprocess
import time

from support import NIBBLE, SMOLLM2, ToolTest, main, model, require, run

require(SMOLLM2)
M = model(SMOLLM2)
OLD = b"the old file"
KILLS = int(os.environ.get("NIBBLE_KILLS", "3"))  # of each command
COMMANDS = {
    "quantize": (["quantize", M], ["Q4_0", "--allow-requantize", "--no-card"], "out.gguf"),
    "pack": (["pack", M], [], "out.gguf"),
    "convert": (["convert", M], [], "out.safetensors"),
    "archive": (["archive", M], [], "out.gguf.zst"),
}


def content(path):
    with open(path, "rb") as file:
        return file.read()


class Kill(ToolTest):
    def command(self, name, folder):
        before, behind, out = COMMANDS[name]
        return [*before, os.path.join(folder, out), *behind], os.path.join(folder, out)

    def fresh(self, name):
        """What an undisturbed run writes, and how long it takes."""
        args, out = self.command(name, self.path(""))
        begin = time.monotonic()
        self.ok(*args)
        seconds = time.monotonic() - begin
        new = content(out)
        self.assertEqual(os.listdir(self.folder), [os.path.basename(out)])
        return new, seconds

    def test_killed(self):
        dice = random.Random(5)
        for name in COMMANDS:
            new, seconds = self.fresh(name)
            args, out = self.command(name, self.path(""))
            for _ in range(KILLS):
                self.path(os.path.basename(out), OLD)
                after = dice.uniform(0, seconds)
                with subprocess.Popen([NIBBLE, *args], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL) as process:
                    time.sleep(after)
                    process.send_signal(signal.SIGKILL)
                with self.subTest(command=name, killed_after=after):
                    # It may have been done before: then all of it is there.
                    self.assertIn(content(out), (OLD, new))
                    self.ok(*args)
                    self.assertEqual(os.listdir(self.folder), [os.path.basename(out)])
                    self.assertEqual(content(out), new)
            os.remove(out)

    def small_disk(self):
        disk = self.path("disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk],
                          capture_output=True).returncode != 0:
            self.skipTest("no small disk can be mounted here")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        return disk

    def refuses(self, name, folder, why):
        """The command says where it could not write and why; the old file and the folder stay."""
        args, out = self.command(name, folder)
        done = run(*args)
        message = done.stderr.decode()
        self.assertNotEqual(done.returncode, 0, name)
        self.assertIn(folder, message, name)
        self.assertRegex(message, why, name)
        self.assertEqual(content(out), OLD, name)
        self.assertEqual(os.listdir(folder), [os.path.basename(out)], name)

    def test_full_disk(self):
        disk = self.small_disk()
        for name in COMMANDS:
            out = self.command(name, disk)[1]
            with open(out, "wb") as file:
                file.write(OLD)
            self.refuses(name, disk, "No space left on device|free")
            os.remove(out)

    def test_folder_that_may_not_be_written(self):
        root = os.geteuid() == 0  # who may write everywhere but where nobody can
        folder = self.small_disk() if root else self.path("closed")
        if not root:
            os.mkdir(folder)
        for name in COMMANDS:
            out = self.command(name, folder)[1]
            with open(out, "wb") as file:
                file.write(OLD)
            self.closed(folder, root, True)
            try:
                self.refuses(name, folder, "Read-only file system" if root else "Permission denied")
            finally:
                self.closed(folder, root, False)
            os.remove(out)

    @staticmethod
    def closed(folder, root, yes):
        if root:
            how = "remount,ro" if yes else "remount,rw"
            subprocess.run(["mount", "-o", how, folder], check=True)
        else:
            os.chmod(folder, 0o500 if yes else 0o700)


if __name__ == "__main__":
    main()
