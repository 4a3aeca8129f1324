"""Runs one measure of one contender and prints its figures as one line of JSON.

``python -m greenroom.bench.peers trio_deque:batched ask 100000``, or, on an interpreter that has no
greenroom, ``python PATH/TO/bench/peers pykka_threads:Threads ask 10000``: module and factory, measure, count.
"""

import gc
import json
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Measure what the command line names."""
    contender, measure, count = sys.argv[1:]
    package = __package__
    if not package:
        # Run as a folder. At the end of the path it hides no library, whatever its files are called.
        folder = Path(__file__).resolve().parent
        sys.path[:] = [*sys.path[1:], str(folder.parent)]
        package = folder.name
    module, factory = contender.split(":")
    made = getattr(import_module(f"{package}.{module}"), factory)()
    if measure in {"spawn", "memory"}:
        gc.set_threshold(*import_module(f"{package}.contender").SPAWN_THRESHOLDS)
    sys.stdout.write(json.dumps(getattr(made, measure)(int(count))) + "\n")


if __name__ == "__main__":
    main()
