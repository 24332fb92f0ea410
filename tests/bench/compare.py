#!/usr/bin/env python3
"""nibble beside a peer, alternately in one sitting, because machines drift within minutes:

  compare.py --peer LLAMA_BENCH [--peer NAME=PATH[,FLAG...]] -m MODEL.gguf [-m ...]
             [-p 512] [-n 128] [-d 0] [-t 2] [--rounds 5] [--isa NAME] [-o RESULTS.json]

A peer is a program that takes llama-bench's flags and prints its JSON. Every round runs each
program once for every model and test; the figure of a program is the median over the rounds, and
the ratio's spread is the lowest and the highest ratio of one round. Without a peer nibble's own
figures are printed.
"""
import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def cpu_flags():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            known = ["avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"]
            return [f for f in known if f in line.split()]
    return []


class Program:
    def __init__(self, name, command):
        self.name, self.command = name, command

    def run(self, model, test, threads):
        n_prompt, n_gen, depth = test
        command = [*self.command, "-m", model, "-p", str(n_prompt), "-n", str(n_gen),
                   "-d", str(depth), "-t", str(threads), "-r", "1", "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{self.name}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        rows = json.loads(done.stdout)
        return rows[0]["avg_ts"], rows[0]


def parse_peer(text):
    name, _, rest = text.rpartition("=")
    path, *flags = rest.split(",")
    return Program(name or Path(path).name, [path, *flags])


def tests_of(args):
    tests = []
    for depth in args.depth:
        if args.prompt:
            tests += [(p, 0, depth) for p in args.prompt]
        if args.gen:
            tests += [(0, n, depth) for n in args.gen]
    return [t for t in tests if t[0] or t[1]]


def label(test):
    n_prompt, n_gen, depth = test
    text = f"pp{n_prompt}" if n_prompt else f"tg{n_gen}"
    return text + (f" @ d{depth}" if depth else "")


def measure(programs, args):
    """{(model, test): {program: [tokens a second, one a round]}}"""
    results = {}
    for model in args.model:
        for test in tests_of(args):
            rates = results[(Path(model).name, label(test))] = {p.name: [] for p in programs}
            for round_number in range(args.rounds):
                # Every program goes first as often as the others.
                k = round_number % len(programs)
                for program in programs[k:] + programs[:k]:
                    rate, _ = program.run(model, test, args.threads)
                    rates[program.name].append(rate)
                    print(f"{Path(model).name} {label(test)} {program.name}: {rate:.1f}",
                          file=sys.stderr)
    return results


def ratio_text(ours, theirs):
    ratio = statistics.median(ours) / statistics.median(theirs)
    each = [a / b for a, b in zip(ours, theirs)]
    return f"{ratio:.2f} ({min(each):.2f}-{max(each):.2f})"


def table(results, programs):
    peers = [p.name for p in programs[1:]]
    lines = ["| model | test | nibble | " + " | ".join(peers + [f"ratio to {p}" for p in peers]) + " |",
             "|---|---|---|" + "---|" * (2 * len(peers))]
    for (model, test), rates in results.items():
        cells = [model, test, f"{statistics.median(rates['nibble']):.1f}"]
        cells += [f"{statistics.median(rates[p]):.1f}" for p in peers]
        cells += [ratio_text(rates["nibble"], rates[p]) for p in peers]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines).replace(" |  |", " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = lambda text: [int(n) for n in text.split(",")]
    parser.add_argument("--nibble", default=str(ROOT / "build/release/tools/nibble"))
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("-m", "--model", action="append", required=True)
    parser.add_argument("-p", "--prompt", type=numbers, default=[512])
    parser.add_argument("-n", "--gen", type=numbers, default=[128])
    parser.add_argument("-d", "--depth", type=numbers, default=[0])
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--isa", default="")
    parser.add_argument("-o", "--output")
    args = parser.parse_args()
    nibble = [args.nibble, "bench"] + (["--isa", args.isa] if args.isa else [])
    programs = [Program("nibble", nibble), *map(parse_peer, args.peer)]
    results = measure(programs, args)
    print(f"{cpu_name()} ({', '.join(cpu_flags())}), {args.threads} threads, "
          f"{args.rounds} rounds, tokens/s, medians; ratio (lowest-highest of one round)\n")
    print(table(results, programs))
    if args.output:
        rows = [{"model": m, "test": t, "tokens_per_second": rates}
                for (m, t), rates in results.items()]
        Path(args.output).write_text(json.dumps(
            {"cpu": cpu_name(), "flags": cpu_flags(), "threads": args.threads, "isa": args.isa or "auto",
             "programs": {p.name: p.command for p in programs}, "results": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
