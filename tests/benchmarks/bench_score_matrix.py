"""Times all-pairs MISA and SIMA, forward and backward, against the plain einsum with autograd, in one run.

    python tests/benchmarks/bench_score_matrix.py [--batch 64 --dim 256 --side 14 --frames 60 --threads 1]

Every variant runs in a child process of its own, which reports its times and its peak memory above what it
held once the inputs were made and the code was loaded (a small problem of the same kind comes first). The
children take turns over the rounds, so that a busy machine slows all of them alike. The ratios are plain / ours.
The plain form holds all matchmaps two to three times over: mind this with large sizes (--skip-plain).
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

KINDS = ("misa", "sima")
FIGURES = ("forward", "backward", "no_grad")


def plain_scores(image_maps, audio_maps, lengths, kind):
    """MISA or SIMA by making every matchmap at once."""
    import torch

    maps = torch.einsum("idhw,adt->iahwt", image_maps, audio_maps).flatten(2, 3)  # [Bi, Ba, P, T]
    padded = torch.arange(audio_maps.shape[2]) >= lengths[:, None]
    if kind == "misa":
        return maps.max(2).values.masked_fill(padded, 0).sum(-1) / lengths
    return maps.masked_fill(padded[:, None], -torch.inf).max(-1).values.mean(-1)


def peak_bytes():
    """The most memory this process ever held. Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(options, kind, variant):
    """One child's work: seconds of each figure, peak bytes above the start, and a digest of the result."""
    import torch

    from vgs_lib.similarity import score_matrix

    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(options.seed)
    size = (options.batch, options.dim)
    images = torch.randn(*size, options.side, options.side, generator=generator).requires_grad_()
    captions = torch.randn(*size, options.frames, generator=generator).requires_grad_()
    weight = torch.randn(options.batch, options.batch, generator=generator)
    lengths = torch.full((options.batch,), options.frames)
    if options.varied:
        lengths = torch.randint(options.frames // 3, options.frames + 1, (options.batch,), generator=generator)

    def scores(num=options.batch):
        if variant == "plain":
            return plain_scores(images[:num], captions[:num], lengths[:num], kind)
        return score_matrix(images[:num], captions[:num], lengths[:num], kind=kind, chunk=options.chunk)

    torch.autograd.grad(scores(2), (images, captions), weight[:2, :2])
    start = peak_bytes()
    seconds = {name: [] for name in FIGURES}
    for _ in range(options.repeats + 1):
        begin = time.perf_counter()
        result = scores()
        middle = time.perf_counter()
        gradients = torch.autograd.grad(result, (images, captions), weight)
        seconds["forward"].append(middle - begin)
        seconds["backward"].append(time.perf_counter() - middle)
        digest = [float(result.detach().norm()), *(float(x.norm()) for x in gradients)]
        del result, gradients
    peak = peak_bytes() - start
    for _ in range(options.repeats + 1):
        begin = time.perf_counter()
        with torch.no_grad():
            scores()
        seconds["no_grad"].append(time.perf_counter() - begin)
    warm = {name: values[1:] for name, values in seconds.items()}
    return {"seconds": warm, "peak": peak, "digest": digest}


def run_child(arguments, kind, variant):
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = subprocess.run(
        [sys.executable, __file__, *arguments, "--child", f"{kind}:{variant}"],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    if result.returncode:
        sys.exit(f"{kind} {variant} ended with {result.returncode} (negative: killed, perhaps for want of memory)")
    return json.loads(result.stdout.splitlines()[-1])


def merge(rounds):
    """The medians over all rounds' repetitions, and the highest peak."""
    seconds = {name: statistics.median(x for r in rounds for x in r["seconds"][name]) for name in FIGURES}
    seconds["both"] = seconds["forward"] + seconds["backward"]
    return {"seconds": seconds, "peak": max(r["peak"] for r in rounds), "digest": rounds[0]["digest"]}


def report(options, results):
    cells = options.batch**2 * options.side**2 * options.frames
    print(
        f"{options.batch} x {options.batch} pairs, D {options.dim}, grid {options.side} x {options.side}, "
        f"{options.frames} frames{' at most' if options.varied else ''}; float32; {options.threads} thread(s); "
        f"{options.rounds} x {options.repeats} repetitions, medians; seed {options.seed}"
    )
    print(f"all matchmaps at once would take {cells * 4 / 2**20:.0f} MiB")
    header = f"{'':12}{'forward':>12}{'backward':>12}{'both':>12}{'no grad':>12}{'peak memory':>14}"
    print("\n" + header)
    for (kind, variant), result in results.items():
        times = [result["seconds"][name] * 1e3 for name in ("forward", "backward", "both", "no_grad")]
        print(f"{kind} {variant:7}" + "".join(f"{x:9.1f} ms" for x in times), end="")
        print(f"{result['peak'] / 2**20:10.1f} MiB")
    for kind in KINDS:
        plain, ours = results.get((kind, "plain")), results[kind, "ours"]
        if plain is None:
            continue
        times = [plain["seconds"][x] / ours["seconds"][x] for x in ("forward", "backward", "both", "no_grad")]
        print(f"{kind} ratio  " + "".join(f"{x:11.2f}x" for x in times), end="")
        print(f"{plain['peak'] / ours['peak']:13.1f}x")
        for a, b in zip(plain["digest"], ours["digest"], strict=True):
            if abs(a - b) > 1e-3 * abs(a):
                sys.exit(f"{kind}: the variants do not agree: {plain['digest']} and {ours['digest']}")


def machine():
    import torch

    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"PyTorch {torch.__version__}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64, help="pictures and captions (default 64)")
    parser.add_argument("--dim", type=int, default=256, help="embedding size (default 256)")
    parser.add_argument("--side", type=int, default=14, help="height and width of the image map (default 14)")
    parser.add_argument("--frames", type=int, default=60, help="frames of a caption (default 60)")
    parser.add_argument("--varied", action="store_true", help="captions of a third to all of the frames")
    parser.add_argument("--chunk", type=int, help="pairs at once in score_matrix (default: its own choice)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions per round (default 3)")
    parser.add_argument("--rounds", type=int, default=2, help="children per variant, taking turns (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the maps (default 0)")
    parser.add_argument("--skip-plain", action="store_true", help="leave the plain einsum out")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options, *options.child.split(":"))))
        return
    print(machine(), flush=True)
    variants = ["ours"] if options.skip_plain else ["plain", "ours"]
    rounds = {(kind, variant): [] for kind in KINDS for variant in variants}
    for _ in range(options.rounds):
        for key, results in rounds.items():
            results.append(run_child(sys.argv[1:], *key))
    results = {key: merge(values) for key, values in rounds.items()}
    report(options, results)
    if options.json:
        print(json.dumps({" ".join(key): value for key, value in results.items()}))


if __name__ == "__main__":
    main()
