"""A server that can be denied threads: ``python threadless.py COUNT serve …``, with COUNT of them at first.

Its threads leave as soon as they are idle: one kept for later would hide that no new one is to be had.
"""

import resource
import sys

from greenroom.runtime.cli import main
from trio._core import _thread_cache

if __name__ == "__main__":
    _thread_cache.IDLE_TIMEOUT = 0.01  # seconds; Trio's own are 10
    count = int(sys.argv.pop(1))
    resource.setrlimit(resource.RLIMIT_NPROC, (count, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
    main()
