"""nibble embed on a real model: JSON and npy agree, pooling and sizes, pieces with their bytes, a
ranking that can be checked by hand, refusals."""
import array
import json
import struct

from support import SMOLLM2, ToolTest, main, model, require, run

require(SMOLLM2)
M = model(SMOLLM2)
TEXTS = ["a cat sat on the mat", "stock prices fell in the morning", "naïve café"]


def floats_of_npy(data):
    """(shape, floats) of a version 1 file of little-endian float32."""
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    length = struct.unpack("<H", data[8:10])[0]
    header = data[10:10 + length].decode()
    assert "'<f4'" in header and "'fortran_order': False" in header, header
    shape = tuple(int(n) for n in header.split("(")[1].split(")")[0].split(",") if n.strip())
    return shape, array.array("f", data[10 + length:])


def singles(numbers):
    return array.array("f", numbers)


class Embed(ToolTest):
    def vectors(self, *args):
        return json.loads(self.ok("embed", "-m", M, *args))

    def test_json_and_npy(self):
        found = self.vectors(*TEXTS)
        self.assertEqual([row["index"] for row in found["data"]], [0, 1, 2])
        self.assertEqual(found["usage"]["prompt_tokens"], sum(r["tokens"] for r in found["data"]))
        shape, floats = floats_of_npy(run("embed", "-m", M, "-o", "npy", *TEXTS).stdout)
        self.assertEqual(shape, (3, found["dims"]))
        flat = singles(x for row in found["data"] for x in row["embedding"])
        self.assertEqual(floats, flat)
        for row in found["data"]:
            # Each number is rounded to float32: 2^-24 of itself.
            self.assertAlmostEqual(sum(x * x for x in row["embedding"]), 1, delta=1e-6)

    def test_ways_in(self):
        want = self.vectors(*TEXTS)["data"]
        with open(self.path("lines"), "w", encoding="utf-8", newline="") as file:
            file.write("\n".join(TEXTS[:2]) + "\r\n\n" + TEXTS[2])
        self.assertEqual(self.vectors("--lines", self.path("lines"))["data"], want)
        with open(self.path("text"), "w", encoding="utf-8") as file:
            file.write(TEXTS[0])
        self.assertEqual(self.vectors("-f", self.path("text"))["data"][0], want[0])

    def test_sizes(self):
        plain = self.vectors("--no-normalize", TEXTS[0])["data"][0]["embedding"]
        cut = self.vectors("--dims", "5", "--no-normalize", TEXTS[0])
        self.assertEqual((cut["dims"], cut["data"][0]["embedding"]), (5, plain[:5]))
        rows = self.vectors("--pooling", "none", "--no-normalize", TEXTS[0])["data"][0]
        self.assertEqual(len(rows["embedding"]), rows["tokens"])
        mean = self.vectors("--pooling", "mean", "--no-normalize", TEXTS[0])["data"][0]["embedding"]
        columns = zip(*map(singles, rows["embedding"]))
        for got, column in zip(singles(mean), columns):
            # One rounding to float32 of a sum in double precision.
            self.assertLessEqual(abs(got - sum(column) / len(column)), 2 ** -23 * abs(got) + 1e-12)
        self.assertEqual(self.vectors("--pooling", "last", "--no-normalize", TEXTS[0])["data"][0]
                         ["embedding"], rows["embedding"][-1])

    def test_pieces(self):
        text = " ".join(TEXTS * 5)
        rows = self.vectors("--chunk", "20", "--overlap", "4", text)["data"]
        data, end = text.encode(), 0
        for row in rows:
            self.assertLessEqual(row["begin"], end)
            self.assertLess(end, row["end"])
            self.assertLessEqual(row["tokens"], 20)
            end = row["end"]
        self.assertEqual(end, len(data))
        alone = self.vectors(data[rows[1]["begin"]:rows[1]["end"]].decode())["data"][0]
        self.assertEqual(alone["embedding"], rows[1]["embedding"])

    def test_ranking(self):
        for distance, best in (("cosine", 1.0), ("euclidean", 0.0), ("dot", 1.0)):
            lines = self.ok("embed", "-m", M, "--similar", TEXTS[1], "--distance", distance,
                            *TEXTS).decode().splitlines()
            self.assertEqual(len(lines), 3)
            score, text = lines[0].split("\t")
            self.assertEqual(text, TEXTS[1])
            self.assertAlmostEqual(float(score), best, delta=1e-5)

    def test_refusals(self):
        for args, text in ((["b " * 9000], "text 1: expected at most"),
                           (["--dims", "577", "a"], "577"),
                           (["--overlap", "3", "a"], "--chunk"),
                           (["--pooling", "max", "a"], "expected one of mean, cls, last, none"),
                           (["--similar", "q", "-o", "npy", "a"], "got both")):
            done = run("embed", "-m", M, *args)
            self.assertEqual((done.returncode, done.stdout), (2, b""), done.stderr)
            self.assertIn(text, done.stderr.decode())


if __name__ == "__main__":
    main()
