"""nibble convert on the tiny models of tests/fixtures/convert: what a user sees, and refusals."""
import json
import os
import pathlib
import resource
import shutil
import signal
import struct

from support import ToolTest, main, run

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "convert"


class Convert(ToolTest):
    def folder_of(self, name):
        path = self.path("model")
        shutil.copytree(FIXTURES / name, path)
        return path

    def edit(self, folder, **values):
        path = pathlib.Path(folder, "config.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    def test_folder(self):
        out = self.path("out.gguf")
        done = run("convert", FIXTURES / "llama_scaled", out)
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertRegex(done.stderr.decode(), r"out\.gguf: 21 tensors \(15 BF16, 6 F32\), \d+\.\d kB\n")
        info = json.loads(self.ok("inspect", out, "--json"))
        self.assertTrue(info["runs"])
        self.assertEqual(info["warnings"], [])
        self.assertEqual(info["bytes"], os.path.getsize(out))
        keys = {row["key"]: row["value"] for row in info["metadata"]}
        self.assertEqual(keys["general.architecture"], "llama")
        self.assertEqual(keys["general.name"], "llama_scaled")
        self.ok("run", out, "-n", "4", "--raw", "the other")

    def test_file_type_and_dry_run(self):
        out = self.path("out.gguf")
        file = FIXTURES / "gemma3" / "model.safetensors"
        done = run("convert", file, out, "q8_0", "--dry-run")
        self.assertIn("would have 93 tensors", done.stderr.decode())
        self.assertIn("note: 43 tensors are F16", done.stderr.decode())
        self.assertFalse(os.path.exists(out))
        self.ok("convert", file, out, "q8_0", "-t", "1")
        types = {t["type"] for t in json.loads(self.ok("inspect", out, "--json"))["types"]}
        self.assertEqual(types, {"F16", "F32", "Q8_0"})

    def test_llama2c_and_back(self):
        out, back = self.path("out.gguf"), self.path("back.safetensors")
        self.ok("convert", FIXTURES / "llama2c" / "model.bin", out)
        done = run("convert", out, back)
        self.assertEqual(done.returncode, 0)
        self.assertIn("note: metadata and tokenizer are left out", done.stderr.decode())
        with open(back, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        self.assertEqual(header["model.layers.1.self_attn.k_proj.weight"]["shape"], [12, 24])
        alone = self.path("alone.bin")
        shutil.copy(FIXTURES / "llama2c" / "model.bin", alone)
        error, _ = self.refused(3, "convert", alone, out)
        self.assertIn("tokenizer.bin", error)
        self.ok("convert", alone, out, "--tokenizer", FIXTURES / "llama2c" / "tokenizer.bin")

    def test_refused(self):
        out = self.path("out.gguf")
        good = self.folder_of("llama_bias")
        empty = self.path("empty")
        os.mkdir(empty)
        pickle = self.path("pytorch_model.bin", b"PK\x03\x04" + bytes(100))
        os.mkfifo(self.path("pipe"))
        for code, args, word in [
                (2, [good], "name of a file"),
                (2, [good, out, "Q9_9"], "Q9_9"),
                (2, [good, out, "F16", "more"], "more"),
                (2, [good, os.path.join(good, "model.safetensors")], "not an input"),
                (3, [empty, out], "model.safetensors"),
                (3, [pickle, out], "pickle"),
                (3, [self.path("pipe"), out], "a pipe"),
                (3, ["/dev/zero", out], "a device"),
                (3, ["/no/such", out], "/no/such"),
                (1, [good, "/no/such/out.gguf"], "/no/such/out.gguf")]:
            with self.subTest(args=args):
                error, _ = self.refused(code, "convert", *args)
                self.assertIn(word, error)
        self.edit(good, architectures=["MambaForCausalLM"])
        error, hint = self.refused(3, "convert", good, out)
        self.assertIn("'MambaForCausalLM'", error)
        self.assertIn("LlamaForCausalLM", hint)
        self.assertFalse(os.path.exists(out))

    def test_hostile_index(self):
        folder = self.folder_of("llama_scaled")
        index = pathlib.Path(folder, "model.safetensors.index.json")
        good = json.loads(index.read_text())
        for name in ("../secret.safetensors", "/etc/passwd", "a\x00.safetensors", "pytorch_model.bin"):
            index.write_text(json.dumps(
                {"weight_map": {**good["weight_map"], "model.norm.weight": name}}))
            error, _ = self.refused(3, "convert", folder, self.path("out.gguf"))
            self.assertIn("model.norm.weight", error)

    def test_no_room(self):
        """A limit on the size of files stands for a full disk."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        out = self.path("out.gguf", b"the old file")
        error, _ = self.refused(1, "convert", FIXTURES / "mistral_window", out, preexec_fn=limit)
        self.assertIn("out.gguf: cannot", error)
        self.assertEqual(os.listdir(self.folder), ["out.gguf"])
        with open(out, "rb") as file:
            self.assertEqual(file.read(), b"the old file")


main()
