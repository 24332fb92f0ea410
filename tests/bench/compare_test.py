"""compare.py with programs of our own making: medians, ratios, spread, memory, and its picture."""
import contextlib
import io
import json
import os
import stat
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import chart
import compare

# Speaks as llama-bench and as nibble do. Tokens a second come from a list beside it, one a run, and
# so does the memory it holds, if any. What it was asked is written down.
FAKE = '''#!{python}
import json, os, sys, time
args = sys.argv[1:]
here = os.path.abspath(__file__)
name = os.path.basename(here)
with open(here + ".log", "a") as log:
    log.write(json.dumps(args) + "\\n")
if "--help" in args:
    print("usage: --no-warmup" if "nibble" in name else "usage: -w, --warmup <0|1>")
elif "--version" in args:
    print("nibble 1.2.3")
elif args[0] == "doctor":
    print(json.dumps({{"machine": {{"isa": "fast"}},
                       "read_bandwidth": [{{"threads": 2, "bytes_per_second": 2e10}}],
                       "int8_peak": [],
                       "model": {{"decode": {{"bound": 40.0}}, "prefill": {{"bound": None}}}}}}))
elif "--kernels" in args:
    print(json.dumps([{{"kernel": "matmul", "isa": isa}} for isa in ("fast", "plain", "fast")]
                     + [{{"kernel": "read", "isa": None}}]))
else:
    with open(here + ".rates") as file:
        rates = json.load(file)
    rate = rates.pop(0)
    with open(here + ".rates", "w") as file:
        json.dump(rates, file)
    if rate < 0:
        sys.exit("no such luck")
    if os.path.exists(here + ".hold"):
        held = b"x" * (int(open(here + ".hold").read()) << 20)
        time.sleep(0.1)
    row = {{"avg_ts": rate}}
    if "nibble" not in name:
        row.update(build_commit="abc1234", build_number=77)
    print(json.dumps([row]))
'''


class CompareTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="nibble_compare_")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.model = self.folder / "m<1>.gguf"
        self.model.write_bytes(b"GGUF")

    def fake(self, name, rates):
        path = self.folder / name
        path.write_text(FAKE.format(python=sys.executable))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        Path(f"{path}.rates").write_text(json.dumps(rates))
        return str(path)

    def asked(self, name):
        """What a program was called with."""
        lines = (self.folder / f"{name}.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def compare(self, *arguments):
        """(printed text, results) of a run."""
        output = self.folder / "out.json"
        with contextlib.redirect_stdout(io.StringIO()) as printed, \
                contextlib.redirect_stderr(io.StringIO()):
            compare.main([*arguments, "-o", str(output)])
        return printed.getvalue(), json.loads(output.read_text())

    def two(self, ours, theirs):
        return ["--nibble", self.fake("nibble", ours), "-m", str(self.model),
                "--peer", f"peer={self.fake('bench', theirs)}"]


class Figures(CompareTest):
    def test_medians_ratios_and_spread(self):
        text, data = self.compare(*self.two([30, 10, 20], [10, 10, 5]), "-p", "0", "-n", "8",
                                  "--rounds", "3")
        # Medians 20 and 10; the rounds' ratios are 3, 1 and 4.
        self.assertIn("| m<1>.gguf | tg8 | 20.0 | 10.0 | 2.00 (1.00-4.00) |", text)
        self.assertEqual(data["results"][0]["values"],
                         {"nibble": [30, 10, 20], "peer": [10, 10, 5]})
        self.assertEqual(data["peers"]["peer"]["version"], "77 (abc1234)")
        self.assertEqual(data["nibble"]["version"], "1.2.3")
        self.assertEqual(data["isa"], "fast")
        self.assertEqual(data["isa_that_ran"], ["fast", "plain"])
        self.assertEqual(data["bounds"]["m<1>.gguf"]["decode"], 40.0)
        self.assertEqual(data["bounds"]["m<1>.gguf"]["read_bandwidth"], 2e10)
        self.assertIsNone(data["bounds"]["m<1>.gguf"]["int8_peak"])

    def test_every_work_and_its_flags(self):
        _, data = self.compare(*self.two([1] * 4, [1] * 4), "-p", "16", "-n", "8", "-d", "0,32",
                               "--rounds", "1", "-t", "3", "--isa", "fast", "--greedy",
                               "--no-bounds")
        self.assertEqual([r["work"] for r in data["results"]],
                         ["pp16", "tg8", "pp16 @ d32", "tg8 @ d32"])
        self.assertEqual([r["phase"] for r in data["results"]], ["prefill", "decode", "", ""])
        self.assertEqual(data["bounds"], {})
        runs = [a for a in self.asked("nibble") if "-p" in a]
        self.assertEqual(runs[1][:5], ["bench", "--no-bandwidth", "--isa", "fast", "--greedy"])
        self.assertEqual(runs[1][5:], ["-m", str(self.model), "-p", "0", "-n", "8", "-t", "3", "-r",
                                       "1", "-o", "json"])
        self.assertEqual(runs[3][-2:], ["-d", "32"])
        self.assertNotIn("--isa", self.asked("bench")[0])

    def test_programs_take_turns(self):
        log = self.folder / "order"
        ours, theirs = self.two([1] * 4, [1] * 4)[1], f"{self.folder}/bench"
        for path in (ours, theirs):
            text = Path(path).read_text().replace("args = ", f"open('{log}', 'a').write("
                                                  "os.path.basename(__file__)[0])\nargs = ")
            Path(path).write_text(text)
        self.compare("--nibble", ours, "--peer", theirs, "-m", str(self.model), "-p", "4", "-n",
                     "0", "--rounds", "4", "--no-bounds")
        self.assertTrue(log.read_text().startswith("nbbnnbbn"), log.read_text())

    def test_start_and_memory(self):
        arguments = self.two([1] * 4, [1] * 4)
        (self.folder / "bench.hold").write_text("64")
        text, data = self.compare(*arguments, "-p", "4", "-n", "2", "--rounds", "1",
                                  "--first-token", "--rss", "--no-bounds")
        start, memory = data["results"][2:]
        self.assertEqual((start["kind"], start["unit"]), ("first_token", "s"))
        self.assertEqual((memory["kind"], memory["unit"]), ("rss", "bytes"))
        self.assertGreater(memory["values"]["peer"][0], memory["values"]["nibble"][0] + (60 << 20))
        self.assertGreater(memory["anonymous"]["peer"][0], 60 << 20)
        self.assertLess(memory["anonymous"]["peer"][0], memory["values"]["peer"][0])
        for work in ("first token after 8", "memory of pp4+tg2"):
            self.assertIn(f"| m<1>.gguf | {work} |", text)
        # The start is timed without a run before it; memory is that of a common run.
        for name, flags in (("nibble", ["--no-warmup"]), ("bench", ["-w", "0"])):
            runs = [a for a in self.asked(name) if "-p" in a]
            self.assertEqual(runs[2][-len(flags):], flags)
            self.assertEqual(runs[2][runs[2].index("-p"):][:4], ["-p", "8", "-n", "0"])
            self.assertNotIn(flags[0], runs[3])

    def test_a_program_that_fails_ends_it(self):
        with self.assertRaisesRegex(SystemExit, "exit code 1\nno such luck"):
            self.compare(*self.two([-1], [1]), "-n", "0", "--rounds", "1", "--no-bounds")

    def test_refused(self):
        for arguments in ([], ["-m", "x", "--from", "y"], ["-m", "x", "--rounds", "0"]):
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
                compare.main(arguments)
        with self.assertRaisesRegex(SystemExit, "nothing to measure"):
            self.compare("-m", str(self.model), "-p", "0", "-n", "0")
        with self.assertRaisesRegex(SystemExit, "one name"):
            self.compare("-m", str(self.model), "--peer", "a=x", "--peer", "a=y")


class Plot(CompareTest):
    SVG = "{http://www.w3.org/2000/svg}"

    def test_from_results(self):
        _, data = self.compare(*self.two([30, 20], [10, 5]), "-p", "0", "-n", "8", "--rounds", "2")
        source, picture = self.folder / "out.json", self.folder / "out.svg"
        before = len(self.asked("nibble"))
        text, _ = self.compare("--from", str(source), "--plot", str(picture))
        self.assertEqual(len(self.asked("nibble")), before)  # nothing ran again
        self.assertIn("3.33", text)
        root = ElementTree.fromstring(picture.read_text())
        self.assertEqual(root.tag, self.SVG + "svg")
        words = [e.text for e in root.iter(self.SVG + "text")]
        self.assertIn("m<1>: answer of 8, tokens/s", words)
        for word in ("nibble", "peer", "25.0", "7.5", "memory allows 40.0"):
            self.assertIn(word, words)
        bars = [float(e.get("width")) for e in root.iter(self.SVG + "rect")]
        self.assertEqual(bars, [25 / 40 * chart.BARS, round(7.5 / 40 * chart.BARS, 1)])
        line = next(root.iter(self.SVG + "line"))
        self.assertEqual(float(line.get("x1")), chart.LEFT + chart.BARS)

    def test_titles(self):
        for work, kind, want in (
                ("pp512 @ d4096", "rate", "m: prompt of 512 at depth 4096, tokens/s"),
                ("memory of pp512+tg128", "rss", "m: memory of prompt of 512 and answer of 128, "
                                                 "most that is resident (less is better)"),
                ("first token after 8", "first_token",
                 "m: first token after 8 tokens, from start to end (less is better)")):
            self.assertEqual(compare.title(compare.Result("m.gguf", work, kind, "")), want)

    def test_without_a_bound(self):
        entry = {"title": "a & b", "unit": "s", "bars": {"nibble": 0.2, "x": 0.0}, "bound": None}
        root = ElementTree.fromstring(chart.draw(["<h>"], [entry]))
        self.assertEqual(list(root.iter(self.SVG + "line")), [])
        self.assertIn("200 ms", [e.text for e in root.iter(self.SVG + "text")])
        ElementTree.fromstring(chart.draw([], []))

    def test_everything_stays_inside(self):
        entries = [{"title": "t", "unit": "tokens/s", "bars": {"nibble": 1000.0, "peer": 999.0},
                    "bound": {"name": "memory allows", "value": v}} for v in (1.0, 500.0, 5000.0)]
        root = ElementTree.fromstring(chart.draw(["one", "two"], entries))
        height = float(root.get("height"))
        for element in root.iter():
            for key in ("y", "y1", "y2"):
                if element.get(key) is not None:
                    self.assertLessEqual(float(element.get(key)), height)
            if element.tag == self.SVG + "rect":
                self.assertLessEqual(float(element.get("x")) + float(element.get("width")),
                                     chart.LEFT + chart.BARS + 0.1)


class Names(unittest.TestCase):
    def test_slugs(self):
        for name, want in (("Intel(R) Core(TM) i5-1135G7 @ 2.40GHz", "intel-core-i5-1135g7"),
                           ("AMD Ryzen 9 5950X 16-Core Processor", "amd-ryzen-9-5950x"),
                           ("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", "intel-xeon-e5-2680-v4"),
                           ("../../etc", "etc"), ("", "unknown")):
            self.assertEqual(compare.slug(name), want)

    def test_amounts(self):
        for value, unit, want in ((1234.5, "tokens/s", "1234"), (12.34, "tokens/s", "12.3"),
                                  (0.0432, "s", "43 ms"), (1.25, "s", "1.25 s"),
                                  (98.4e6, "bytes", "98.4 MB"), (1.21e9, "bytes", "1.21 GB")):
            self.assertEqual(chart.amount(value, unit), want)

    def test_peers(self):
        peer = compare.parse_peer("ik=/x/llama-bench,-rtr,1")
        self.assertEqual((peer.name, peer.command), ("ik", ["/x/llama-bench", "-rtr", "1"]))
        self.assertEqual(compare.parse_peer("/x/llama-bench").name, "llama-bench")


if __name__ == "__main__":
    unittest.main()
