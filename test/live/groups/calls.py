"""What the client programs in Python have in common: calls come in as lines of JSON, see member.ts."""

import json
import queue
import sys
import threading

POLL_SECONDS = 0.05


def say(line):
    print(json.dumps(line), flush=True)


def read_lines(lines):
    for line in sys.stdin:
        lines.put(json.loads(line))
    lines.put(None)


def serve(program):
    """Answers each call with what the program's method of its name returns. A consumer is used by one thread only, so
    the same one calls poll(seconds) in between."""
    lines = queue.Queue()
    threading.Thread(target=read_lines, args=[lines], daemon=True).start()
    while True:
        try:
            line = lines.get(block=not program.polls)
        except queue.Empty:
            program.poll(POLL_SECONDS)
            continue
        if line is None:
            return
        call = {key: value for key, value in line.items() if key not in ("id", "call")}
        try:
            say({"id": line["id"], "result": getattr(program, line["call"])(**call)})
        except Exception as error:
            say({"id": line["id"], "error": f"{type(error).__name__} {error}"})


def by_partition(offsets):
    """JSON has only texts as keys."""
    return {int(partition): offset for partition, offset in offsets.items()}
