"""One run of a program: what is measured, and that nothing is left of it, whatever it does and whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from raytune_hpo.commands import launching
from raytune_hpo.commands.launching import Job, StaticLimits, run_program
from raytune_hpo.errors import ObjectiveError, SpecError
from tests.commands.programs import gone, processes_with, python

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def mark(monkeypatch):
    """A word in the environment of every program that the test runs."""
    word = f"MARK={uuid.uuid4().hex}"
    monkeypatch.setenv("MARK", word.removeprefix("MARK="))
    yield word
    # The test itself has it from its start only where a program of it was started before: /proc keeps what exec gave.
    assert gone(word)


@pytest.fixture
def short_grace(monkeypatch):
    monkeypatch.setattr(launching, "GRACE_S", 0.3)


def run(code: str, **more) -> launching.Ran:
    return run_program(Job(argv=python(code), **more))


def test_a_run_is_measured():
    ran = run("import sys, time; time.sleep(0.1); print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (ran.exit_code, ran.signal, ran.cause, ran.num_left) == (3, None, "", 0)
    assert (ran.stdout, ran.stderr) == ("out\n", "err\n")
    assert 0.1 <= ran.wall_s < 2
    assert 0 < ran.user_s + ran.system_s < 2


def test_the_time_of_a_sleep_has_hardly_any_bias():
    """The quickest run beside that of a bare spawn and wait, by turns; others here make both slower, now and then."""
    ours, bare = [], []
    for _ in range(100):
        ours.append(run_program(Job(argv=["sleep", "0.1"])).wall_s)
        begin = time.monotonic()
        os.waitpid(os.posix_spawn("/bin/sleep", ["sleep", "0.1"], os.environ), 0)
        bare.append(time.monotonic() - begin)
        if len(ours) >= 10 and min(ours) < min(bare) + 0.001:
            break
    assert 0.1 <= min(ours) < min(bare) + 0.001


def test_cpu_time_is_that_of_all_descendants():
    burn = "import time\\nend = time.process_time() + 0.2\\nwhile time.process_time() < end: pass"
    code = f"import subprocess, sys\nfor _ in range(2): subprocess.run([sys.executable, '-I', '-S', '-c', '{burn}'])"
    ran = run(code)
    assert 0.38 < ran.user_s + ran.system_s < 1.5


def test_peak_memory_is_the_childs_not_that_of_its_parent():
    ballast = bytearray(200_000_000)
    for page in range(0, len(ballast), 4096):
        ballast[page] = 1
    assert run_program(Job(argv=["true"])).peak_mb < 40
    touched = run("x = bytearray(200_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1")
    assert touched.peak_mb == pytest.approx(208, rel=0.05)
    assert touched.peak_by == "wait4"
    del ballast


def test_peak_memory_of_a_tree_is_its_sum_where_it_is_sampled():
    touch = "x = bytearray(60_000_000)\\nfor i in range(0, len(x), 4096): x[i] = 1\\nimport time; time.sleep(0.5)"
    code = (
        "import subprocess, sys\n"
        f"p = [subprocess.Popen([sys.executable, '-I', '-S', '-c', '{touch}']) for _ in range(2)]\n"
        "[q.wait() for q in p]"
    )
    ran = run(code, samples_memory=True)
    assert ran.peak_by in ("sampled", "cgroup")
    assert ran.peak_mb > 125
    assert run(code).peak_mb < 110


def test_a_program_that_cannot_be_found_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(SpecError, match=r"no program 'no-such-program' in \$PATH"):
        run_program(Job(argv=["no-such-program"]))
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    with pytest.raises(SpecError, match="not executable; chmod"):
        run_program(Job(argv=[str(plain)]))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("#!/no/such/interpreter -x\n", "names the interpreter '/no/such/interpreter', which is not there"),
        ("#! /bin/sh\r\necho\r\n", r"the interpreter '/bin/sh\\r', which is not there"),  # written on Windows
        ("echo no first line\n", "Exec format error; a script begins with a line such as #!/bin/sh"),
    ],
)
def test_a_program_that_cannot_be_started_says_what_is_wrong_with_it(tmp_path, text, why):
    script = tmp_path / "script"
    script.write_text(text, newline="")
    script.chmod(0o700)
    with pytest.raises(SpecError, match=f"{script}' could not be started: .*{why}"):
        run_program(Job(argv=[str(script)]))


def test_a_working_directory_that_is_not_there_is_named():
    with pytest.raises(SpecError, match="its working directory '/no/such/folder' is not there"):
        run_program(Job(argv=["true"], cwd="/no/such/folder"))


def test_arguments_environment_folder_and_input_reach_the_program(tmp_path):
    (tmp_path / "in").write_text("read")
    code = "import os, sys; print(sys.argv[1:], os.environ['A'], os.getcwd(), sys.stdin.read())"
    job = Job(
        argv=python(code, "é", "\udcff"), env={**os.environ, "A": "b c"}, cwd=str(tmp_path), stdin=str(tmp_path / "in")
    )
    assert run_program(job).stdout == f"['é', '\\udcff'] b c {tmp_path} read\n"
    assert run("import sys; print(repr(sys.stdin.read()))").stdout == "''\n"


def test_there_is_no_terminal_and_signals_are_as_programs_expect_them():
    code = "import signal\ntry: open('/dev/tty')\nexcept OSError as e: print(e.errno)"
    assert run(code).stdout.strip() == "6"
    # A program that writes to a closed pipe is ended by it, which it would not be if it were ignored.
    assert run_program(Job(argv=["bash", "-o", "pipefail", "-c", "yes | head -1"])).exit_code == 141


def test_ten_gigabytes_would_not_matter_output_is_drained_and_bounded():
    ran = run("import sys\nfor i in range(400): sys.stdout.write(('%06d' % i) * 20_000)\nprint('end')")
    assert ran.exit_code == 0
    assert len(ran.stdout) < 140_000
    assert ran.stdout.startswith("000000") and ran.stdout.endswith("end\n") and "bytes left out" in ran.stdout


def test_a_run_that_is_too_long_is_ended_however_deaf_it_is(mark, short_grace):
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    begin = time.monotonic()
    ran = run(deaf, timeout_s=0.5)
    assert (ran.cause, ran.signal, ran.stdout) == ("timeout", "SIGKILL", "up\n")
    assert time.monotonic() - begin < 5


def test_a_polite_program_may_clean_up_when_its_time_is_over(mark):
    polite = "import signal, sys, time\nsignal.signal(15, lambda *_: (print('bye'), sys.exit(0)))\ntime.sleep(60)"
    ran = run(polite, timeout_s=0.5)
    assert (ran.cause, ran.exit_code, ran.stdout) == ("timeout", 0, "bye\n")


def test_a_program_hears_once_that_its_time_is_over(mark):
    careful = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    print('asked', flush=True)\n"
        "    time.sleep(0.3)  # a second signal would break in here\n"
        "    sys.exit(0)\n"
        "signal.signal(15, end)\n"
        "time.sleep(60)"
    )
    ran = run(careful, timeout_s=1.0)
    assert (ran.cause, ran.exit_code, ran.stdout) == ("timeout", 0, "asked\n")


def test_daemons_are_found_and_ended(mark):
    daemon = (
        "import os, signal, time\n"
        "for _ in range(2):\n"
        " if os.fork() == 0:\n"
        "  os.setsid()\n"
        "  if os.fork() == 0:\n"
        "   signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "   time.sleep(60)\n"
        "  os._exit(0)\n"
        "time.sleep(0.3)"
    )
    ran = run(daemon)
    assert (ran.exit_code, ran.num_left) == (0, 2)
    assert ran.wall_s < 10


def test_a_program_may_kill_its_own_group(mark):
    ran = run("import os, signal; os.killpg(0, signal.SIGKILL)")
    assert (ran.signal, ran.cause) == ("SIGKILL", "")


def test_a_run_that_nobody_wants_any_more_is_ended(mark):
    ran = run_program(Job(argv=["sleep", "60"]), is_unwanted=lambda: True)
    assert (ran.cause, ran.signal) == ("stopped", "SIGTERM")


def test_reports_are_heard_while_it_runs_and_what_hears_them_may_end_it(mark, tmp_path):
    pipe = tmp_path / "reports"
    os.mkfifo(pipe)
    code = (
        f"import time\nwith open({str(pipe)!r}, 'a', buffering=1) as f:\n"
        " for i in range(50): print(i, file=f); time.sleep(0.05)"
    )
    heard = []

    def hear(line):
        heard.append(line)
        if line == "3":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_program(Job(argv=python(code), reports=str(pipe)), on_report=hear)
    assert heard == ["0", "1", "2", "3"]


@pytest.fixture
def heard(tmp_path):
    """What is heard of a program that writes reports: a function of its code, where ``put`` writes bytes."""
    pipe = tmp_path / "reports"
    os.mkfifo(pipe)
    put = f"import os, signal; pipe = os.open({str(pipe)!r}, os.O_WRONLY); put = lambda data: os.write(pipe, data)\n"

    def hear(code):
        lines = []
        run_program(Job(argv=python(put + code), reports=str(pipe)), on_report=lines.append)
        return lines

    return hear


def test_the_last_report_needs_no_end_of_its_line(heard):
    assert heard("put(b'1\\n2')") == ["1", "2"]
    assert heard("put(b'1\\n2\\n \\n')") == ["1", "2"]
    assert heard("put(b'1\\n{\"lo'); os.kill(os.getpid(), signal.SIGKILL)") == ["1"]


@pytest.mark.parametrize("pieces", [["70_000", "0"], ["65_536", "1"], ["65_537", "0", "1"]])
@pytest.mark.parametrize("end", ["\\n", ""])
def test_a_report_that_is_too_long_is_no_report(heard, pieces, end):
    code = "import time\n" + "".join(f"put(b'7' * {size}); time.sleep(0.1)\n" for size in pieces) + f"put(b'{end}')"
    with pytest.raises(ObjectiveError, match="a line of at most 65,536 bytes, got a longer one, .* with '777"):
        heard(code)
    assert heard("for _ in range(2): put(b'7' * 32_768)\nput(b'\\n')") == ["7" * 65_536]


def test_limits_hold():
    code = "import os, resource as r; print(len(os.sched_getaffinity(0)), os.nice(0), r.getrlimit(r.RLIMIT_NOFILE)[0])"
    assert run(code, limits=StaticLimits(cpus=1, nice=3, files=32)).stdout == "1 3 32\n"
    greedy = "x = bytearray(300_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1\nimport time; time.sleep(5)"
    assert run(greedy, limits=StaticLimits(memory_mb=100)).exit_code != 0


def test_processes_that_exceed_the_memory_only_together_are_ended(mark):
    touch = "x = bytearray(60_000_000)\\nfor i in range(0, len(x), 4096): x[i] = 1\\nimport time; time.sleep(30)"
    code = (
        "import subprocess, sys\n"
        f"p = [subprocess.Popen([sys.executable, '-I', '-S', '-c', '{touch}']) for _ in range(3)]\n"
        "[q.wait() for q in p]"
    )
    assert run(code, limits=StaticLimits(memory_mb=150)).cause == "memory"


def _program(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_nothing_is_left_of_launchers_that_die_before_they_have_their_job(monkeypatch):
    monkeypatch.setattr(launching, "_BOOT", "import os; os._exit(3)")
    processes = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *args, **more: processes.append(popen(*args, **more)) or processes[-1]
    )
    before = _open_files()
    for _ in range(3):
        with pytest.raises(ObjectiveError, match="launcher of the program was killed"):
            run_program(Job(argv=["true"], env={**os.environ, "LONG": "x" * 100_000}))
    assert not launching._under_way
    assert _open_files() == before
    assert [process.returncode for process in processes] == [3, 3, 3]  # waited for, so that none is a zombie


def test_an_interrupt_while_a_launcher_gets_its_job_leaves_nothing_running(monkeypatch, mark):
    monkeypatch.setattr(launching, "_BOOT", f"import time; time.sleep(1.5)\n{launching._BOOT}")
    before = _open_files()
    earlier = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_program(Job(argv=["sleep", "60"], env={**os.environ, "LONG": "x" * 1_000_000}))
    finally:
        signal.signal(signal.SIGALRM, earlier)
    assert not launching._under_way
    assert _open_files() == before


def test_a_launch_that_has_ended_is_not_stopped_by_way_of_anothers_file():
    launch = launching._Launch(Job(argv=["true"]))
    launch.begin()
    launch.wait(None, None)
    launch.close()
    pipes = [os.pipe() for _ in range(4)]  # with the numbers of those that were just closed
    launch.stop()
    for reads, writes in pipes:
        os.close(writes)
        with open(reads, "rb") as file:
            assert file.read() == b""


def test_a_killed_launcher_takes_everything_with_it(mark):
    spawn = "import subprocess, time; subprocess.Popen(['sleep', '61']); time.sleep(60)"

    def kill_launcher():
        while not (
            parents := [
                p for p in processes_with(mark) if not Path(f"/proc/{p}/cmdline").read_bytes().startswith(b"sleep")
            ]
        ):
            time.sleep(0.02)
        time.sleep(0.3)
        os.kill(int(Path(f"/proc/{parents[0]}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)

    threading.Thread(target=kill_launcher).start()
    with pytest.raises(ObjectiveError, match="launcher of the program was killed"):
        run(spawn)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_dead_worker_leaves_nothing_running(number):
    word = f"MARK={uuid.uuid4().hex}"
    code = (
        "from raytune_hpo.commands.launching import Job, run_program\n"
        "run_program(Job(argv=['bash', '-c', 'sleep 61 & setsid sleep 62 & wait']))"
    )
    env = {**os.environ, "MARK": word.removeprefix("MARK="), "PYTHONPATH": str(ROOT)}
    worker = subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while len(processes_with(word)) < 4 and time.monotonic() < until:
            time.sleep(0.05)
        worker.send_signal(number)
        worker.wait(20)
        assert gone(word)
    finally:
        worker.kill()


@pytest.mark.slow
def test_nothing_is_left_after_two_hundred_runs_that_are_too_long(mark, short_grace):
    jobs = [Job(argv=["bash", "-c", "sleep 61 & setsid sleep 62 & wait"], timeout_s=0.05)] * 200
    assert {run_program(job).cause for job in jobs} == {"timeout"}
