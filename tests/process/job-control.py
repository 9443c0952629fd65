"""A terminal with a shell's job control: runs a command as a foreground job, and does what its steps say.

    job-control.py STEPS COMMAND...

STEPS is JSON, a list of ["until", TEXT], ["key", TEXT], ["signal", NAME], ["stopped"], ["fg"], ["ended"]. The answer is
JSON, one object for each step: what was written to the terminal during it, how the terminal stands, how the job is.
"""
import json
import os
import pty
import select
import signal
import sys
import termios
import time

WAIT_S = 30


def shell(command, status):
    """Leads the terminal's session, and tells each change of its one job in a line."""
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.execvp(command[0], command)
    try:
        os.setpgid(job, job)
    except OSError:
        pass
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.tcsetpgrp(0, job)
    calm = termios.tcgetattr(0)

    def foreground(*_):
        os.tcsetpgrp(0, job)
        os.kill(-job, signal.SIGCONT)

    signal.signal(signal.SIGUSR1, foreground)
    os.write(status, f"started {job}\n".encode())
    while True:
        _, how = os.waitpid(job, os.WUNTRACED)
        if not os.WIFSTOPPED(how):
            os.write(status, f"ended {os.waitstatus_to_exitcode(how)}\n".encode())
            break
        os.tcsetpgrp(0, os.getpgrp())
        modes = termios.tcgetattr(0)
        os.write(status, f"stopped {os.WSTOPSIG(how)} {int(bool(modes[3] & termios.ICANON))}\n".encode())
        # A shell wants its own modes back, whatever the job left.
        termios.tcsetattr(0, termios.TCSADRAIN, calm)
    time.sleep(WAIT_S)


steps, command = json.loads(sys.argv[1]), sys.argv[2:]
told, status = os.pipe()
leader, terminal = pty.fork()
if leader == 0:
    os.close(told)
    shell(command, status)
    os._exit(0)
os.close(status)
said = ""
job = 0
reports = []


def within(is_so):
    """Reads on until it is so; what came meanwhile."""
    global said, job
    out, end = b"", time.monotonic() + WAIT_S
    while True:
        text = out.decode("utf8", "replace")
        if is_so(text):
            return text
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain; the job says {said!r}, the terminal {text!r}")
        ready, _, _ = select.select([terminal, told], [], [], 0.05)
        if terminal in ready:
            out += os.read(terminal, 65536)
        if told in ready:
            said += os.read(told, 4096).decode()
            if job == 0:
                job = int(said.split()[1])


def modes():
    local = termios.tcgetattr(terminal)[3]
    return {"canonical": bool(local & termios.ICANON), "echo": bool(local & termios.ECHO), "isig": bool(local & termios.ISIG)}


try:
    within(lambda _: said.startswith("started"))
    for name, *rest in steps:
        before = said
        out = ""
        if name == "until":
            out = within(lambda text: rest[0] in text)
        elif name == "key":
            os.write(terminal, rest[0].encode())
        elif name == "signal":
            os.kill(job, getattr(signal, rest[0]))
        elif name == "fg":
            os.kill(leader, signal.SIGUSR1)
        elif name in ("stopped", "ended"):
            out = within(lambda _: name in said)
            after = said[said.index(name):]
            said = said.replace(name, name.upper())
            # What it wrote before lies in the terminal still.
            pause = time.monotonic() + 0.3
            out += within(lambda _: time.monotonic() > pause)
            before = after
        reports.append({"step": name, "out": out, "modes": modes(), "job": before.strip()})
    print(json.dumps(reports))
finally:
    for pid in (job, leader):
        if pid > 0:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
