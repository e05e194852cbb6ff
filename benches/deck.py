"""What the measuring scripts beside this share: an owner of a made-up platform, calls at a steady rate, and a console in
a pseudo-terminal. Linux alone; nothing but Python's own library."""

import fcntl
import http.client
import json
import multiprocessing
import os
import pty
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time

THREADS = 16

LARGE = """
tenants = 1000
servers = 50
shared = 5
instances = 10000
latency = "5ms"
memory = "64MiB"
start = "1ms"
autostart = true
[[simulate.fault]]
server = "sim-007"
error_every = 20
"""

CONFIG = """
[platform]
name = "bench"
socket = "{folder}/deck.sock"
[paths]
state = "{folder}/state"
[api]
listen = ["127.0.0.1:{port}"]
anonymous = {{ role = "operator" }}
[simulate]
seed = 1
"""


def percentile(values, percent):
    return round(sorted(values)[min(len(values) - 1, len(values) * percent // 100)], 2) if values else None


def status_of(pid, key):
    """A number of /proc/PID/status; sizes are KiB there."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key))


def resident(pid):
    """Resident memory of a process, MiB."""
    return status_of(pid, "VmRSS") / 1024


def cpu(pid):
    """Seconds of processor time that a process has used."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Owner:
    """A platform of `simulate`, from when it is ready until the block ends."""

    def __init__(self, program, folder, simulate):
        self.folder, self.port = folder, free_port()
        config = os.path.join(folder, "deck.toml")
        with open(config, "w") as file:
            file.write(CONFIG.format(folder=folder, port=self.port) + simulate)
        self.command = [os.path.abspath(program), "--config", config]

    def __enter__(self):
        with open(os.path.join(self.folder, "owner.log"), "w") as log:
            self.process = subprocess.Popen([*self.command, "serve"], stdout=log, stderr=log)
        self.pid = self.process.pid
        self.wait_ready(lambda: time.sleep(0.1))
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def wait_ready(self, pause):
        until = time.monotonic() + 60
        while not self.is_ready():
            if time.monotonic() > until:
                sys.exit("the owner is not ready after a minute")
            pause()

    def is_ready(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def pairs(self):
        """Every (customer, server) that is enabled."""
        told = subprocess.run([*self.command, "get", "customers", "-o", "json"], capture_output=True, check=True)
        rows = json.loads(told.stdout)
        return [(row["def"]["id"], cell["server"]) for row in rows for cell in row["cells"] if cell["enabled"]]


class Screen(Owner):
    """An owner with a screen of its own: one process."""

    def __enter__(self):
        self.console = Console(self.command)
        self.pid = self.console.pid
        self.wait_ready(lambda: self.console.watch(0.1))
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGTERM)
        until = time.monotonic() + 60
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0) and time.monotonic() < until:
            self.console.watch(0.1)
        os.close(self.console.terminal)


class Load:
    """Calls through an owner's gateway at a steady rate, as many customers, until the block ends. From a process of its
    own: threads beside whoever times keys would be timed with them."""

    def __init__(self, owner, rate):
        self.port, self.pairs, self.pause = owner.port, owner.pairs(), THREADS / rate
        self.done, self.failed = multiprocessing.Array("q", THREADS), multiprocessing.Array("q", THREADS)

    def __enter__(self):
        self.process = multiprocessing.Process(target=self.run_all, daemon=True)
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()

    def run_all(self):
        for number in range(THREADS):
            threading.Thread(target=self.run, args=(number,), daemon=True).start()
        signal.pause()

    def run(self, number):
        chance = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        due = time.monotonic()
        while True:
            customer, server = chance.choice(self.pairs)
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}}}
            try:
                head = {"X-Customer-ID": customer, "Content-Type": "application/json"}
                connection.request("POST", f"/mcp/{server}", json.dumps(call), head)
                good = b'"result"' in connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()
                good = False
            self.done[number] += 1
            self.failed[number] += not good
            due = max(due + self.pause, time.monotonic() - 1)
            time.sleep(max(0, due - time.monotonic()))


class Console:
    """A console in a pseudo-terminal of 120x40, and how long its keys wait for the first byte, in ms."""

    def __init__(self, command):
        self.waited, self.bytes, self.bursts = [], 0, []
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execv(command[0], command)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)

    def read(self, patience):
        """Bytes that come within so many seconds."""
        ready, _, _ = select.select([self.terminal], [], [], patience)
        try:
            got = len(os.read(self.terminal, 1 << 16)) if ready else 0
        except OSError:  # the program has ended
            time.sleep(patience)
            return 0
        self.bytes += got
        return got

    def watch(self, seconds):
        """Takes what comes for so long; what comes without a pause is one burst: a frame."""
        until, burst = time.monotonic() + seconds, 0
        while (left := until - time.monotonic()) > 0:
            got = self.read(min(left, 0.02))
            burst += got
            if burst and not got:
                self.bursts.append(burst)
                burst = 0

    def press(self, key, every):
        """Presses a key once the terminal is quiet, so that what comes is its answer, and takes what follows."""
        while self.read(0.003):
            pass
        began = time.monotonic()
        os.write(self.terminal, key.encode())
        if self.read(2.0):
            self.waited.append((time.monotonic() - began) * 1000)
        while (left := began + every - time.monotonic()) > 0:
            self.read(left)
