"""How long counting a network takes, beside torchinfo and fvcore.

    python benchmarks/inspect_speed.py [--network resnet152] [--rounds 5]

The network is built first, which is not timed. Then each package counts parameters and multiply-adds in a process of
its own, first call, in turns, so that a busy machine is busy for all. The others run the network on a picture; whyconv
reads it by shapes alone, and counts connections, sharing and twins as well. Receptive fields and reach are timed apart.
Memory is what the process takes beyond its imports and the built network.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

SIDE = 224
COUNTERS = ("whyconv", "torchinfo", "fvcore")


def peak_megabytes() -> float:
    """Returns the most memory this process has taken so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def prepared(counter: str, network: object) -> Callable[[], tuple[int, int]]:
    """Imports a counter, and returns what is to be timed: -> parameters, multiply-adds."""
    import torch

    if counter == "whyconv":
        from whyconv.counting.network import count_network
        from whyconv.measures import trace

        def count() -> tuple[int, int]:
            totals = count_network(trace(network, (3, SIDE, SIDE)), "benchmark").totals
            return totals.parameters, totals.nominal_multiply_adds

    elif counter == "torchinfo":
        from torchinfo import summary

        def count() -> tuple[int, int]:
            found = summary(network, (1, 3, SIDE, SIDE), verbose=0)
            return found.total_params, found.total_mult_adds

    else:
        from fvcore.nn import FlopCountAnalysis, parameter_count

        logging.disable(logging.WARNING)

        def count() -> tuple[int, int]:
            work = FlopCountAnalysis(network.eval(), torch.zeros(1, 3, SIDE, SIDE))
            return parameter_count(network)[""], work.total()

    return count


def run_once(counter: str, name: str) -> dict[str, float | int | str]:
    """Counts once in this process."""
    from whyconv.nets import build_network

    network = build_network(name, in_channels=3, num_classes=1000, side=SIDE)
    if counter == "fields":
        return time_fields(network)
    count = prepared(counter, network)
    before, start = peak_megabytes(), time.perf_counter()
    parameters, work = count()
    seconds = time.perf_counter() - start
    return {
        "counter": counter,
        "seconds": seconds,
        "megabytes": peak_megabytes() - before,
        "parameters": parameters,
        "multiply_adds": work,
    }


def time_fields(network: object) -> dict[str, float]:
    """Times receptive fields, and the sets of pixels behind every place."""
    from whyconv.counting.reach import reach
    from whyconv.counting.receptive_field import receptive_fields
    from whyconv.measures import trace

    graph = trace(network, (3, SIDE, SIDE))
    start = time.perf_counter()
    receptive_fields(graph)
    between = time.perf_counter()
    reach(graph)
    return {"receptive_fields": between - start, "reach": time.perf_counter() - between}


def run_apart(counter: str, name: str) -> dict[str, float]:
    """Runs this script for one counter in a fresh process."""
    command = [sys.executable, __file__, "--network", name, "--one", counter]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--network", default="resnet152")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--one", choices=(*COUNTERS, "fields"), help="Count once with this one, and print JSON.")
    asked = words.parse_args()
    if asked.one:
        print(json.dumps(run_once(asked.one, asked.network)))
        return
    rounds = [{counter: run_apart(counter, asked.network) for counter in COUNTERS} for _ in range(asked.rounds)]
    ours = statistics.median(each["whyconv"]["seconds"] for each in rounds)
    print(f"{asked.network} at {SIDE} x {SIDE}, first call in a fresh process, median of {asked.rounds}")
    for counter in COUNTERS:
        several = [each[counter] for each in rounds]
        times = sorted(each["seconds"] for each in several)
        print(
            f"  {counter:<10} {statistics.median(times):7.3f} s ({times[0]:.3f}-{times[-1]:.3f})"
            f"  +{statistics.median(each['megabytes'] for each in several):5.0f} MB"
            f"  {several[0]['parameters']:,} parameters  {several[0]['multiply_adds']:,} multiply-adds"
            f"  {statistics.median(times) / ours:6.1f} x whyconv"
        )
    fields = run_apart("fields", asked.network)
    print(f"  apart: receptive fields {fields['receptive_fields']:.3f} s, reach {fields['reach']:.3f} s")


if __name__ == "__main__":
    main()
