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
KILLS = int(os.environ.get("NIBBLE_KILLS", "6"))  # of each command
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
                    # On another CPU's mood it may have been done: then all of it is there.
                    self.assertIn(content(out), (OLD, new))
                    self.ok(*args)
                    self.assertEqual(os.listdir(self.folder), [os.path.basename(out)])
                    self.assertEqual(content(out), new)
            os.remove(out)

    def test_full_disk(self):
        disk = self.path("disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk],
                          capture_output=True).returncode != 0:
            self.skipTest("no small disk can be mounted here")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        for name in COMMANDS:
            args, out = self.command(name, disk)
            with open(out, "wb") as file:
                file.write(OLD)
            done = run(*args)
            self.assertNotEqual(done.returncode, 0, name)
            message = done.stderr.decode()
            self.assertIn(disk, message, name)
            self.assertRegex(message, "No space left on device|free", name)
            self.assertEqual(content(out), OLD, name)
            self.assertEqual(os.listdir(disk), [os.path.basename(out)], name)
            os.remove(out)

    def test_folder_that_may_not_be_written(self):
        if os.geteuid() == 0:
            self.skipTest("running as root, who may write everywhere")
        folder = self.path("closed")
        os.mkdir(folder)
        for name in COMMANDS:
            args, out = self.command(name, folder)
            with open(out, "wb") as file:
                file.write(OLD)
            os.chmod(folder, 0o500)
            done = run(*args)
            os.chmod(folder, 0o700)
            self.assertNotEqual(done.returncode, 0, name)
            self.assertIn("Permission denied", done.stderr.decode(), name)
            self.assertIn(folder, done.stderr.decode(), name)
            self.assertEqual(content(out), OLD, name)
            self.assertEqual(os.listdir(folder), [os.path.basename(out)], name)
            os.remove(out)


if __name__ == "__main__":
    main()
