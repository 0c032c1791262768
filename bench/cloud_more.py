"""cloud_more.py - random access, stores in trouble, memory: a suite of
bench/cloud a function.
"""
import concurrent.futures
import mmap
import os
import random
import shutil
import subprocess
import threading
import time

import cloud_lab as lab
from cloud_subjects import forget
from cloud_work import DELAY, SMALL, mib, same, timed
from posix_subjects import Failed, call

READERS = 16
READ_S = 20       # for so long are random reads counted, at most
STREAMS = 8
PIECE = 128 << 10
FAR = ('--delay', DELAY)
SLOW = FAR + ('--slow', 10, 50)


def copy(source, target):
    call('dd', f'if={source}', f'of={target}', 'bs=1M')


# --- next to passthrough_ll -------------------------------------------------------

def local(t, work):
    """work(top, again): in a directory of the disk, by the example."""
    try:
        work(t.subject.open('cloud'), lambda: (
            t.subject.close(), t.subject.open('cloud'), forget()))
    finally:
        t.subject.close()
        shutil.rmtree(t.subject.source, ignore_errors=True)


def held(t, work):
    """The same by plurifs: bytes in the clouds and in local packs."""
    with lab.Paths(t.bench.lab, ()) as paths:
        with t.volume(paths) as s:
            work(s.open(), lambda: (s.settle(), s.close(), s.open()), paths)


def warm(t):
    source = t.bench.noise(t.rep, t.bench.bytes)

    def work(top, again, _=None):
        copy(source, top / 'file')
        again()
        t.note('warm', mib(t.bench.bytes, timed(
            lambda: copy(top / 'file', '/dev/null'))))
        same(source, top / 'file')
    (held if t.subject.name == 'pluri' else local)(t, work)


def overwrite(path, places, seed):
    """4 KiB of noise at each place, in that order; fsync. Seconds. No two are
    the same, or they would be sent once."""
    noise = memoryview(random.Random(seed).randbytes(len(places) * SMALL))
    fd = os.open(path, os.O_RDWR)
    try:
        start = time.monotonic()
        for i, at in enumerate(places):
            os.pwrite(fd, noise[i * SMALL:(i + 1) * SMALL], at)
        os.fsync(fd)
        return time.monotonic() - start
    finally:
        os.close(fd)


def over(t):
    b = t.bench
    source = b.noise(t.rep, b.bytes)
    blocks = b.bytes // SMALL
    places = [i * SMALL for i in random.Random(t.rep).sample(
        range(blocks), blocks // 16)]

    def work(top, again, paths=None):
        copy(source, top / 'file')
        again()
        seen = paths.counters() if paths else None
        t.note('over', len(places) / overwrite(top / 'file', places, t.rep))
        if not paths:
            return
        t.subject.settle()
        used = paths.since(seen)
        t.noted('over', used)
        t.note('over_up', used['up_bytes'] / len(places) / SMALL)
        t.subject.close()
        t.subject.open(cold=True)
        want = b.shm / 'over'
        try:
            shutil.copy(source, want)
            overwrite(want, places, t.rep)
            same(want, top / 'file')
        finally:
            want.unlink(missing_ok=True)
    (held if t.subject.name == 'pluri' else local)(t, work)


# --- random reads -----------------------------------------------------------------

def reads(path, source, readers, most, seed):
    """Random 4 KiB reads by so many threads, until there are `most` or time is
    up: the seconds that each took, and all of them together."""
    size = os.path.getsize(source)
    end = time.monotonic() + READ_S
    with open(source, 'rb') as f:
        want = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)

    def reader(i):
        dice, took = random.Random(seed * 1000 + i), []
        fd = os.open(path, os.O_RDONLY)
        try:
            while len(took) < most // readers and time.monotonic() < end:
                at = dice.randrange(size // SMALL) * SMALL
                start = time.monotonic()
                got = os.pread(fd, SMALL, at)
                took.append(time.monotonic() - start)
                if got != want[at:at + SMALL]:
                    raise Failed(f'NOT WHAT WAS WRITTEN: 4 KiB at {at}')
        finally:
            os.close(fd)
        return took
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(readers) as pool:
        all_of = [x for took in pool.map(reader, range(readers)) for x in took]
    return sorted(all_of), time.monotonic() - start


def scatter(t):
    b = t.bench
    source = b.noise(t.rep, b.bytes)
    with lab.Paths(b.lab, ()) as paths:
        with t.volume(paths) as s:
            copy(source, s.open() / 'file')
            s.settle(1, b.bytes)
            s.close()
            paths.proxies[0].again(FAR)
            top = s.open(cold=True)
            seen = paths.counters()
            # few enough that most of the file is not met
            took, seconds = reads(top / 'file', source, READERS,
                                  b.bytes // lab.MIB, t.rep)
            t.note('scatter', len(took) / seconds)
            used = paths.since(seen)
            t.noted('scatter', used, len(took))
            t.note('scatter_down', used['down_bytes'] / len(took) / 1024)


# --- stores in trouble ------------------------------------------------------------

def busiest(paths):
    """The proxy that has sent most: the store that is preferred."""
    return max(paths.proxies, key=lambda p: p.counters()['down_bytes'])


def mirrored(t, work):
    """work(top, source, paths): a file in three mirrored stores, each 25 ms away;
    top() is a cold mount."""
    b = t.bench
    source = b.noise(t.rep, b.bytes)
    with lab.Paths(b.lab, *((),) * 3) as paths:
        with t.volume(paths, stores=3, layout='mirror:3') as s:
            copy(source, s.open() / 'file')
            s.settle()
            s.close()
            for p in paths.proxies:
                p.again(FAR)
            work(lambda: (s.close(), s.open(cold=True))[1], source, paths)


def p99(took):
    return took[max(len(took) * 99 // 100 - 1, 0)]


def slow(t):
    def work(top, source, paths):
        most = t.bench.bytes // lab.MIB * 2
        well, _ = reads(top() / 'file', source, 8, most, t.rep)
        seen = paths.counters()
        t.noted('slow_healthy', seen, len(well))
        busiest(paths).again(SLOW)
        ill, _ = reads(top() / 'file', source, 8, most, t.rep + 100)
        t.noted('slow', paths.counters(), len(ill))
        t.note('slow_healthy', p99(well) * 1000)
        t.note('slow', p99(ill) * 1000)
        t.note('slow_times', p99(ill) / p99(well))
    mirrored(t, work)


def paced(path, source, at_share, do):
    """Reads a file from its begin to its end, and does something on the way:
    (when each piece had come, the longest wait) in seconds."""
    size = os.path.getsize(source)
    came, longest = [time.monotonic()], 0
    with open(source, 'rb') as want, open(path, 'rb', buffering=0) as f:
        for at in range(0, size, PIECE):
            if do and at >= size * at_share:
                do()
                do = None
            if f.read(PIECE) != want.read(PIECE):
                raise Failed(f'NOT WHAT WAS WRITTEN: at {at}')
            came.append(time.monotonic())
            longest = max(longest, came[-1] - came[-2])
    return came, longest


def hole(t):
    def work(top, source, paths):
        gone = []

        def lose():
            gone.append(busiest(paths))
            gone[0].swallow()
        try:
            came, longest = paced(top() / 'file', source, 0.4, lose)
        finally:
            for p in gone:
                p.swallow()
        t.note('hole', longest)
        n = len(came)
        # seconds for as many pieces, before and when the loss is old news
        before = came[n * 35 // 100] - came[n * 10 // 100]
        after = came[n * 95 // 100] - came[n * 70 // 100]
        t.note('hole_after', before / after)
        t.noted('hole', paths.counters())
    mirrored(t, work)


# --- memory -----------------------------------------------------------------------

def streams(t, command):
    """One shell pipeline each, all at once."""
    b = t.bench
    failed = []

    def one(i):
        text = command.format(gen=f'{b.io} gen {t.rep * STREAMS + i + 1} '
                              f'{b.bytes}', file=f'f{i}')
        try:
            call('bash', '-c', 'set -o pipefail; ' + text, cwd=t.subject.mount)
        except Failed as e:
            failed.append(str(e))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(STREAMS)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    if failed:
        raise Failed(failed[0])


def crowd(t):
    """8 large files at once, there and back."""
    with lab.Paths(t.bench.lab) as paths:
        with t.volume(paths) as s:
            s.open()
            streams(t, '{gen} | dd of={file} bs=1M iflag=fullblock')
            s.settle()
            t.note('crowd_write', s.memory() / lab.MIB)
            s.close()
            s.open(cold=True)
            streams(t, '{gen} | cmp - {file}')
            t.note('crowd_read', s.memory() / lab.MIB)


# --- a backup ---------------------------------------------------------------------

def backup(t):
    """restic onto the mount, and onto the disk."""
    b = t.bench
    source = b.noise(t.rep, 2 * b.bytes)
    env = os.environ | {'RESTIC_PASSWORD': 'bench',
                        'RESTIC_CACHE_DIR': str(b.shm / 'restic')}

    def work(top, *_):
        repo = ('restic', '-q', '-r', top / 'repo')
        call(*repo, 'init', env=env)
        t.note('backup', timed(lambda: call(*repo, 'backup', source, env=env)))
        if t.subject.name == 'pluri':
            t.subject.settle()
            t.subject.close()
            t.subject.open(cold=True)
        call(*repo, 'check', '--read-data', env=env)
        into = b.shm / 'restored'
        try:
            call(*repo, 'restore', 'latest', '--target', into, env=env)
            same(source, str(into) + str(source))
        finally:
            shutil.rmtree(into, ignore_errors=True)
            subprocess.run(['rm', '-rf', b.shm / 'restic'], check=False)
    (held if t.subject.name == 'pluri' else local)(t, work)
