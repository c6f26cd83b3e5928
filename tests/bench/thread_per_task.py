"""The form that people write: a daemon thread for each command, results in a list behind a lock.

The class is the lesson's, with what its readers would mend at once: the shell that the runner uses, and no limit on the
time. The rest of the file measures it: `throughput WIDTH COUNT SHELL COMMAND`, `latency SAMPLES SLEEPERS SHELL COMMAND`,
`memory SHELL COMMAND`, `sleeping COUNT SECONDS SHELL COMMAND`. Each prints one line of JSON.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid


class BackgroundManager:
    def __init__(self, shell, done=None):
        self.tasks = {}
        self._notification_queue = []
        self._lock = threading.Lock()
        self._shell = shell
        self._done = done

    def run(self, command):
        task_id = str(uuid.uuid4())[:8]
        self.tasks[task_id] = {"status": "running", "command": command}
        threading.Thread(target=self._execute, args=(task_id, command), daemon=True).start()
        return task_id

    def _execute(self, task_id, command):
        r = subprocess.run(command, shell=True, executable=self._shell, capture_output=True, text=True)
        output = (r.stdout + r.stderr).strip()[:50000]
        self.tasks[task_id]["status"] = "completed"
        with self._lock:
            self._notification_queue.append(
                {"task_id": task_id, "result": output[:500], "queued": time.monotonic_ns()})
        if self._done is not None:
            self._done.release()

    def drain(self):
        with self._lock:
            taken, self._notification_queue = self._notification_queue, []
        return taken


def throughput(width, count, shell, command):
    places = threading.Semaphore(width)
    manager = BackgroundManager(shell, places)
    began = time.monotonic()
    for _ in range(count):
        places.acquire()
        manager.run(command)
    for _ in range(width):
        places.acquire()
    took = time.monotonic() - began
    assert len(manager.drain()) == count
    return {"seconds": took}


def latency(samples, sleepers, shell, command):
    done = threading.Semaphore(0)
    manager = BackgroundManager(shell, done)
    for _ in range(sleepers):
        manager.run("sleep 600")
    time.sleep(1 if sleepers else 0)
    took = []
    for _ in range(samples):
        manager.run(command)
        done.acquire()
        (notice,) = manager.drain()
        took.append(notice["queued"] - int(notice["result"]))
    return {"nanoseconds": took}


def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) * 1024


def memory(shell, command):
    done = threading.Semaphore(0)
    manager = BackgroundManager(shell, done)
    began = time.monotonic()
    manager.run(command)
    done.acquire()
    return {"seconds": time.monotonic() - began, "peak": status("VmHWM")}


def sleeping(count, seconds, shell, command):
    before = status("VmRSS")
    manager = BackgroundManager(shell)
    for _ in range(count):
        manager.run(command)
    time.sleep(2)
    after = status("VmRSS")
    began = time.process_time()
    time.sleep(seconds)
    return {"bytes": (after - before) / count, "processor": (time.process_time() - began) / seconds}


def main():
    # What still sleeps in the end goes with the whole group.
    os.setpgid(0, 0)
    what, arguments = sys.argv[1], sys.argv[2:]
    measure = {"throughput": throughput, "latency": latency, "memory": memory, "sleeping": sleeping}[what]
    numbers = [int(word) for word in arguments[:-2]]
    print(json.dumps(measure(*numbers, *arguments[-2:])), flush=True)
    os.killpg(0, signal.SIGKILL)


main()
