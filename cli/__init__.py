"""One command, `kizashi`."""

import os

# Read when the first library starts its threads, so it is set before any is imported: threads that wait for each other
# sleep instead of spinning. Beside other work, training was five times slower without it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
