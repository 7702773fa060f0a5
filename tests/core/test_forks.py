"""Work that is shared out to copies of the process: what they make, what stops them, and that none is left."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import psutil
import pytest
from places import ROOT

from specacts.core.errors import UserError
from specacts.core.forks import FORKS, shared_out

pytestmark = pytest.mark.skipif(not FORKS, reason="copies of a process are for Linux alone")


def nothing():
    pass


def children():
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.fixture(autouse=True)
def leaves_no_process():
    before = children()
    yield
    assert children() <= before


def test_every_piece_is_done_once_in_processes_that_share_what_is_here():
    here = {"not": "picklable", "for": lambda: None}
    found = list(shared_out(lambda piece: (piece, len(here), os.getpid()), range(7), 3, nothing))
    assert sorted(number for number, _ in found) == list(range(7))
    assert all(made[:2] == (number, 2) and made[2] != os.getpid() for number, made in found)


def test_one_process_is_this_one():
    assert list(shared_out(lambda _: os.getpid(), range(5), 1, nothing)) == [(n, os.getpid()) for n in range(5)]


def test_one_piece_is_done_like_one_of_many():
    ((number, made),) = shared_out(lambda _: os.getpid(), range(1), 4, nothing)
    assert number == 0 and made != os.getpid()
    assert list(shared_out(lambda _: os.getpid(), range(0), 4, nothing)) == []


def test_copies_of_a_process_that_computed_with_several_threads_compute_too():
    program = (
        "import torch\nfrom functools import partial\nfrom specacts.core.forks import shared_out\n"
        "assert torch.get_num_threads() == 2\n"
        "one = torch.ones(512, 512)\nassert (one @ one).sum() == 512**3\n"
        "begin = partial(torch.set_num_threads, 1)\n"
        "made = dict(shared_out(lambda n: float((n * one @ one).sum()), range(4), 2, begin))\n"
        "assert made == {n: n * 512.0**3 for n in range(4)}"
    )
    several = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=several, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_each_copy_begins_as_it_is_told_to():
    told = []
    found = list(shared_out(lambda _: len(told), range(4), 2, lambda: told.append(1)))
    assert [made for _, made in found] == [1] * 4 and not told


def test_what_a_copy_raises_is_raised_here_and_ends_the_others():
    def work(piece):
        if piece == 0:
            raise UserError("line 3: this is wrong")
        time.sleep(60)

    started = time.monotonic()
    with pytest.raises(UserError, match="^line 3: this is wrong$"):
        list(shared_out(work, range(3), 3, nothing))
    assert time.monotonic() - started < 30


def test_what_goes_wrong_in_a_copy_says_where_also_if_it_does_not_travel():
    class Odd(Exception):
        """Belongs to this function alone, which nothing else can name."""

    def work(piece):
        raise Odd("here") if piece else ZeroDivisionError("there")

    for first, kind, said in ((0, ZeroDivisionError, "there"), (1, RuntimeError, "Odd: here")):
        with pytest.raises(kind, match=said) as raised:
            list(shared_out(work, [first, first], 2, nothing))
        assert "in work" in "".join([str(raised.value), *getattr(raised.value, "__notes__", ())])


def test_who_stops_listening_ends_the_copies():
    with closing(shared_out(lambda piece: time.sleep(60 * piece), range(3), 3, nothing)) as answers:
        assert next(answers) == (0, None)


def test_a_copy_that_is_killed_is_told_in_one_line():
    with pytest.raises(UserError, match="was killed, probably because memory ran out; start again with OMP_NUM_TH"):
        list(shared_out(lambda piece: piece and os.kill(os.getpid(), signal.SIGKILL), range(2), 2, nothing))


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_from_outside_no_copy_goes_on(number, whole):
    """As by Ctrl-C, which reaches all of them, or by a signal to the first alone."""
    program = (
        "import os, signal, time\nfrom specacts.core.forks import shared_out\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore Ctrl-C
        "list(shared_out(lambda _: time.sleep(60), range(4), 2, lambda: os.write(1, b'copy\\n')))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert [child.stdout.readline() for _ in range(2)] == ["copy\n", "copy\n"]
    copies = psutil.Process(child.pid).children(recursive=True)
    assert len(copies) == 2
    time.sleep(0.5)  # until it waits: Python may drop a signal that comes in the middle of a fork
    (os.killpg if whole else os.kill)(child.pid, number)
    assert child.wait(20) != 0
    assert not psutil.wait_procs(copies, 20)[1]
