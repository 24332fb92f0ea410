#!/usr/bin/env python3
"""nibble beside a peer, alternately in one sitting, because machines drift within minutes:

  compare.py --peer LLAMA_BENCH [--peer NAME=PATH[,FLAG...]] -m MODEL.gguf [-m ...]
             [-p 512] [-n 128] [-d 0] [-t 2] [--rounds 5] [--isa NAME] [--greedy]
             [--first-token] [--rss] [-o RESULTS.json | --save] [--plot OUT.svg]
  compare.py --from RESULTS.json [--plot OUT.svg]

A peer is a program that takes llama-bench's flags and prints its JSON. Every round runs each
program once for every model and work, and every program goes first as often as the others; the
figure of a program is the median over the rounds, and the ratio's spread is the lowest and the
highest ratio of one round. Without a peer nibble's own figures are printed.

-p and -n measure tokens a second of prompts and answers (0: none). --first-token measures the
seconds from the start of the program to its end with a prompt of 8 tokens, the model in the page
cache; --rss the memory that is resident at most while -p and -n run, mapped files included. There
less is better. `nibble doctor` gives the bounds that --plot draws, unless --no-bounds is given.
--greedy lets nibble generate the likeliest tokens, for which it reads less of the output head.

--save writes to results/CPU/DATE-PEER.json beside this file, where figures of machines are kept.
"""
import argparse
import datetime
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import chart

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
FIRST_TOKEN_PROMPT = 8
KNOWN_FLAGS = ["sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni",
               "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm"]


def cpuinfo(key):
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def cpu_name():
    return cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_flags():
    flags = (cpuinfo("flags") or cpuinfo("Features")).split()
    return [f for f in KNOWN_FLAGS if f in flags]


def slug(name):
    """"Intel(R) Core(TM) i5-1135G7 @ 2.40GHz" -> "intel-core-i5-1135g7" """
    name = re.sub(r"\((r|tm)\)|@.*|\bcpu\b|\bprocessor\b|\d+-core\b", " ", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "unknown"


# ---- running programs ----

@dataclass
class Finished:
    stdout: str
    seconds: float
    peak: int  # bytes resident at most
    anonymous: int  # bytes of these that no file backs, as far as samples saw


def status_bytes(text, key):
    match = re.search(rf"^{key}:\s+(\d+) kB", text, re.M)
    return int(match[1]) * 1024 if match else 0


class MemorySampler(threading.Thread):
    """The most resident bytes of a process, and of these the anonymous, as /proc says while it
    runs."""

    def __init__(self, pid):
        super().__init__()
        self.status, self.ended = Path(f"/proc/{pid}/status"), threading.Event()
        self.peak = self.anonymous = 0
        self.start()

    def run(self):
        while not self.ended.wait(0.005):
            try:
                text = self.status.read_text()
            except OSError:
                return
            self.peak = max(self.peak, status_bytes(text, "VmHWM"))
            self.anonymous = max(self.anonymous, status_bytes(text, "RssAnon"))


def execute(command):
    """Runs to the end. Output goes to files, so that nobody waits for a reader."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        sampler = MemorySampler(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.ended.set()
        sampler.join()
        # What the system counted has no gaps, but begins with what this program held at the fork.
        ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak = usage.ru_maxrss * 1024 if usage.ru_maxrss > ours else sampler.peak
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n"
                             + err.read()[-2000:].decode(errors="replace"))
        return Finished(out.read().decode(), seconds, peak, sampler.anonymous)


class Program:
    def __init__(self, name, command):
        self.name, self.command = name, command
        self.version = None  # known after the first run
        self._no_warmup = None

    def run(self, model, work, threads):
        """(value, Finished) of one run of a work."""
        command = [*self.command, "-m", model, "-p", str(work.n_prompt), "-n", str(work.n_gen),
                   "-t", str(threads), "-r", "1", "-o", "json"]
        if work.depth:  # not every llama-bench has it
            command += ["-d", str(work.depth)]
        if work.kind == "first_token":
            command += self.no_warmup()
        finished = execute(command)
        row = json.loads(finished.stdout)[0]
        if "build_commit" in row:
            self.version = f"{row.get('build_number', '')} ({row['build_commit']})".strip()
        return work.value(row, finished), finished

    def no_warmup(self):
        """The flags for it: llama-bench has had two spellings."""
        if self._no_warmup is None:
            done = subprocess.run([*self.command, "--help"], capture_output=True, text=True)
            text = done.stdout + done.stderr
            self._no_warmup = ["--no-warmup"] if "--no-warmup" in text else \
                ["-w", "0"] if "--warmup" in text else []
        return self._no_warmup


@dataclass
class Work:
    kind: str  # rate, first_token, rss
    n_prompt: int = 0
    n_gen: int = 0
    depth: int = 0

    def label(self):
        if self.kind == "first_token":
            return f"first token after {self.n_prompt}"
        text = f"pp{self.n_prompt}" if self.n_prompt else ""
        text += ("+" if text and self.n_gen else "") + (f"tg{self.n_gen}" if self.n_gen else "")
        text += f" @ d{self.depth}" if self.depth else ""
        return text if self.kind == "rate" else f"memory of {text}"

    def unit(self):
        return {"rate": "tokens/s", "first_token": "s", "rss": "bytes"}[self.kind]

    def value(self, row, finished):
        return {"rate": row["avg_ts"], "first_token": finished.seconds,
                "rss": finished.peak}[self.kind]


@dataclass
class Result:
    """One model and work; `values` by program, one a round."""
    model: str
    work: str
    kind: str
    unit: str
    values: dict = field(default_factory=dict)
    anonymous: dict = field(default_factory=dict)  # of memory: the part no file backs
    phase: str = ""  # prefill or decode, where a bound is known for it

    def median(self, program):
        return statistics.median(self.values[program])

    def ratio(self, peer):
        """(of the medians, lowest and highest of one round): nibble's figure by the peer's."""
        each = [a / b for a, b in zip(self.values["nibble"], self.values[peer])]
        return self.median("nibble") / self.median(peer), min(each), max(each)


def works_of(args):
    works = []
    for depth in args.depth:
        works += [Work("rate", p, 0, depth) for p in args.prompt if p]
        works += [Work("rate", 0, n, depth) for n in args.gen if n]
    if args.first_token:
        works.append(Work("first_token", FIRST_TOKEN_PROMPT))
    if args.rss:
        works.append(Work("rss", max(args.prompt), max(args.gen), max(args.depth)))
    if not works:
        raise SystemExit("nothing to measure: give -p, -n, --first-token or --rss")
    return works


def phase_of(work):
    if work.kind != "rate" or work.depth:
        return ""
    return "prefill" if work.n_prompt else "decode"


def warm(model):
    with open(model, "rb") as file:
        while file.read(1 << 24):
            pass


def measure(programs, models, works, threads, rounds):
    results = []
    for model in models:
        warm(model)
        for work in works:
            name = Path(model).name
            result = Result(name, work.label(), work.kind, work.unit(), phase=phase_of(work))
            result.values = {p.name: [] for p in programs}
            if work.kind == "rss":
                result.anonymous = {p.name: [] for p in programs}
            for number in range(rounds):
                # Every program goes first as often as the others.
                k = number % len(programs)
                for program in programs[k:] + programs[:k]:
                    value, finished = program.run(model, work, threads)
                    result.values[program.name].append(value)
                    if work.kind == "rss":
                        result.anonymous[program.name].append(finished.anonymous)
                    print(f"{name} {work.label()} {program.name}: "
                          f"{chart.amount(value, work.unit())}", file=sys.stderr)
            results.append(result)
    return results


def measure_bounds(nibble, models, threads, isa):
    """{model: {prefill and decode: tokens a second, and what they follow from}} by doctor."""
    bounds = {}
    for model in models:
        command = [nibble, "doctor", "-m", model, "-t", str(threads), "--json"]
        found = json.loads(execute(command + (["--isa", isa] if isa else [])).stdout)
        last = lambda key, figure: found[key][-1][figure] if found[key] else None
        bounds[Path(model).name] = {
            "decode": found["model"]["decode"]["bound"],
            "prefill": found["model"]["prefill"]["bound"],
            "read_bandwidth": last("read_bandwidth", "bytes_per_second"),
            "int8_peak": last("int8_peak", "macs_per_second"),
            "isa": found["machine"]["isa"]}
    return bounds


def isa_that_ran(nibble):
    """Kernel tables that this CPU really ran, here and now."""
    done = execute([nibble, "bench", "--kernels", "--isa", "all", "--types", "Q4_0,Q8_0,Q4_K",
                    "--tokens", "1,64", "--shape", "256x256", "--seconds", "0.001", "-t", "1",
                    "-o", "json"])
    return sorted({row["isa"] for row in json.loads(done.stdout) if row["kernel"] == "matmul"})


def commit():
    """Of this source tree; "+" says that it was changed since."""
    git = lambda *args: subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True,
                                       text=True).stdout.strip()
    return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain") else "")


# ---- printing ----

def ratio_text(ratio):
    return f"{ratio[0]:.2f} ({ratio[1]:.2f}-{ratio[2]:.2f})"


def table(results, peers):
    head = ["model", "work", "nibble", *peers, *[f"nibble / {p}" for p in peers]]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in results:
        cells = [r.model, r.work, chart.amount(r.median("nibble"), r.unit)]
        cells += [chart.amount(r.median(p), r.unit) for p in peers]
        cells += [ratio_text(r.ratio(p)) for p in peers]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def heading(data):
    first = f"{data['cpu']}, {data['threads']} threads, {data['date']}, {data['rounds']} rounds"
    versions = [f"nibble {data['nibble']['commit']} ({data['isa']})"]
    versions += [" ".join(filter(None, (name, peer["version"])))
                 for name, peer in data["peers"].items()]
    return [first + ": medians; ratios are of nibble to a peer (lowest-highest of one round)",
            ", ".join(versions)]


TITLES = {"rate": "{}, tokens/s", "first_token": "{} tokens, from start to end (less is better)",
          "rss": "{}, most that is resident (less is better)"}
WORDS = [(r"pp(\d+)", r"prompt of \1"), (r"\+", " and "), (r"tg(\d+)", r"answer of \1"),
         (r" @ d(\d+)", r" at depth \1")]
BOUND_NAMES = {"decode": "memory allows", "prefill": "multipliers allow"}


def title(result):
    words = result.work
    for pattern, replacement in WORDS:
        words = re.sub(pattern, replacement, words)
    return f"{result.model.removesuffix('.gguf')}: " + TITLES[result.kind].format(words)


def plot(data, results):
    entries = []
    for r in results:
        bound = data["bounds"].get(r.model, {}).get(r.phase)
        entries.append({"title": title(r), "unit": r.unit,
                        "bars": {p: r.median(p) for p in r.values},
                        "bound": {"name": BOUND_NAMES[r.phase], "value": bound} if bound else None})
    lines = heading(data)
    return chart.draw([lines[0].split(":")[0] + ", medians", lines[1]], entries)


def parse_peer(text):
    name, _, rest = text.rpartition("=")
    path, *flags = rest.split(",")
    return Program(name or Path(path).name, [path, *flags])


def parse_args(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = lambda text: [int(n) for n in text.split(",")]
    parser.add_argument("--nibble", default=str(ROOT / "build/release/tools/nibble"))
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("-m", "--model", action="append", default=[])
    parser.add_argument("-p", "--prompt", type=numbers, default=[512])
    parser.add_argument("-n", "--gen", type=numbers, default=[128])
    parser.add_argument("-d", "--depth", type=numbers, default=[0])
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--isa", default="")
    parser.add_argument("--greedy", action="store_true")
    parser.add_argument("--first-token", action="store_true")
    parser.add_argument("--rss", action="store_true")
    parser.add_argument("--no-bounds", action="store_true")
    parser.add_argument("-o", "--output")
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--from", dest="source")
    parser.add_argument("--plot")
    args = parser.parse_args(arguments)
    if bool(args.source) == bool(args.model):
        parser.error("give either -m, to measure, or --from, to show what was measured")
    if args.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    return args


def run(args):
    nibble = [args.nibble, "bench", "--no-bandwidth"]
    nibble += (["--isa", args.isa] if args.isa else []) + (["--greedy"] if args.greedy else [])
    peers = [parse_peer(text) for text in args.peer]
    names = ["nibble", *[p.name for p in peers]]
    if len(set(names)) < len(names):
        raise SystemExit("two programs have one name: give NAME=PATH")
    results = measure([Program("nibble", nibble), *peers], args.model, works_of(args), args.threads,
                      args.rounds)
    bounds = {}
    if not args.no_bounds:
        bounds = measure_bounds(args.nibble, args.model, args.threads, args.isa)
    version = execute([args.nibble, "--version"]).stdout.split()[-1]
    chosen = next((b["isa"] for b in bounds.values()), args.isa or "auto")
    return {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "flags": cpu_flags(),
            "threads": args.threads, "rounds": args.rounds, "isa": chosen,
            "isa_that_ran": isa_that_ran(args.nibble),
            "nibble": {"version": version, "commit": commit(), "command": nibble},
            "peers": {p.name: {"version": p.version, "command": p.command} for p in peers},
            "bounds": bounds, "results": [vars(r) for r in results]}


def main(arguments=None):
    args = parse_args(arguments)
    data = json.loads(Path(args.source).read_text()) if args.source else run(args)
    results = [Result(**row) for row in data["results"]]
    lines = heading(data)
    print("\n".join(lines) + "\n\n" + table(results, list(data["peers"])))
    paths = [Path(args.output)] if args.output else []
    if args.save:
        peer = slug(next(iter(data["peers"]), "alone"))
        paths.append(RESULTS / slug(data["cpu"]) / f"{data['date']}-{peer}.json")
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1) + "\n")
        print(f"wrote {path}", file=sys.stderr)
    if args.plot:
        Path(args.plot).write_text(plot(data, results))


if __name__ == "__main__":
    main()
