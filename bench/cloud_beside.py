"""cloud_beside.py - what programs notice of work in the background: the suite
`beside` of bench/cloud.

Programs of three sorts run at the same time: readers of a file that is cold,
one of a file whose packs are local, and one that writes a little and calls
fsync. `bare` is no program of ours: it gets as much as a cold read does from the
same server over the same lines, without any filesystem. First alone, then beside that work, then the next; nothing is read twice,
so no cache of ours answers.
"""
import contextlib
import http.client
import json
import mmap
import os
import random
import subprocess
import threading
import time

import cloud_lab as lab
from cloud_more import FAR, p99
from cloud_subjects import forget
from cloud_work import RATE, SMALL, same
from posix_subjects import Failed, call, wait_for

LINE = FAR + ('--rate', RATE // 2)
LOAD_RATE = RATE // 2 * 3 // 2 * 1.1    # bytes a second, two copies each
READ = 64 << 10
PLACE = 128 << 10     # of a file: a frame, which is read once
WARM_S, COUNT_S = 3, 10
COLD_READERS = 4
NEAR_REST_S, BARE_REST_S, SYNC_REST_S = 0.04, 0.02, 0.02
LOAD = 16 << 20       # bytes of one file of the load
LOAD_AHEAD = 32       # of them at once; then as fast as the lines take them
LOAD_WARM_S = 15      # until as many puts run at once as ever will
WASTE = 1 << 20       # ... and of one of those of which most are deleted
SORTS = ('cold', 'near', 'sync', 'bare')


class Programs:
    """All sorts, for as long as they are counted."""

    def __init__(self, t, paths, top, sources, seed):
        self.top, self.sources, self.seed = top, sources, seed
        self.ports, self.bucket = paths.ports, t.bench.lab.bucket()
        self.object = os.urandom(lab.OBJECT)
        lab.send(t.bench.lab.port, f'/{self.bucket}/bare', self.object)
        self.places, self.maps = {}, {}
        for name, path in sources.items():
            places = list(range(os.path.getsize(path) // PLACE))
            random.Random(seed).shuffle(places)
            self.places[name] = places
            with open(path, 'rb') as f:
                self.maps[name] = mmap.mmap(f.fileno(), 0,
                                            access=mmap.ACCESS_READ)
        self.lock = threading.Lock()
        self.synced = 0

    def close(self):
        for m in self.maps.values():
            m.close()

    def again(self, top):
        """They go on at another mount."""
        self.top = top

    def read(self, name, rest):
        fd = os.open(self.top / name, os.O_RDONLY)
        try:
            while time.monotonic() < self.end:
                with self.lock:
                    if not self.places[name]:
                        return
                    at = self.places[name].pop() * PLACE
                start = time.monotonic()
                got = os.pread(fd, READ, at)
                self.note(name, start)
                if got != self.maps[name][at:at + READ]:
                    raise Failed(f'NOT WHAT WAS WRITTEN: {name} at {at}')
                time.sleep(rest)
        finally:
            os.close(fd)

    def bare(self):
        urls = [lab.presign(p, 'GET', f'/{self.bucket}/bare')
                for p in self.ports]
        links = [http.client.HTTPConnection('127.0.0.1', p, timeout=60)
                 for p in self.ports]
        dice, i = random.Random(self.seed), 0
        while time.monotonic() < self.end:
            at = dice.randrange(lab.OBJECT // PLACE) * PLACE
            i = (i + 1) % len(links)
            start = time.monotonic()
            links[i].request('GET', urls[i][urls[i].index('/', 7):], headers={
                'Range': f'bytes={at}-{at + PLACE - 1}'})
            got = links[i].getresponse().read()
            self.note('bare', start)
            if got != self.object[at:at + PLACE]:
                raise Failed(f'the server gives other bytes: bare at {at}')
            time.sleep(BARE_REST_S)
        for link in links:
            link.close()

    def block(self, at):
        return random.Random(self.seed * 1000003 + at).randbytes(SMALL)

    def sync(self):
        fd = os.open(self.top / 'sync', os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                     0o644)
        try:
            while time.monotonic() < self.end:
                start = time.monotonic()
                os.write(fd, self.block(self.synced))
                os.fsync(fd)
                self.note('sync', start)
                self.synced += 1
                time.sleep(SYNC_REST_S)
        finally:
            os.close(fd)

    def note(self, sort, start):
        if start >= self.begin:
            with self.lock:
                self.took[sort].append(time.monotonic() - start)

    def run(self):
        """What each sort's calls took, sorted."""
        self.took = {s: [] for s in SORTS}
        self.begin = time.monotonic() + WARM_S
        self.end = self.begin + COUNT_S
        failed = []

        def kept(work, *args):
            try:
                work(*args)
            except (Failed, OSError, http.client.HTTPException) as e:
                failed.append(str(e))
        jobs = [(self.read, 'cold', 0)] * COLD_READERS + [
            (self.read, 'near', NEAR_REST_S), (self.sync,), (self.bare,)]
        threads = [threading.Thread(target=kept, args=j) for j in jobs]
        for x in threads:
            x.start()
        for x in threads:
            x.join()
        if failed:
            raise Failed(failed[0])
        return {s: sorted(x) for s, x in self.took.items()}

    def check(self):
        """All that was written with fsync, as it is now."""
        with open(self.top / 'sync', 'rb') as f:
            for at in range(self.synced):
                if f.read(SMALL) != self.block(at):
                    raise Failed(f'NOT WHAT WAS WRITTEN: sync, block {at}')
            if f.read(1):
                raise Failed('NOT WHAT WAS WRITTEN: sync is too long')


# --- the work beside --------------------------------------------------------------

class Load:
    """File after file, each of new noise, until it is over: a little more than
    the clouds can take, so that there is always something to be sent."""

    def __init__(self, t, top, seed):
        self.io, self.top, self.seed = t.bench.io, top, seed
        self.count, self.over, self.failed = 0, False, None

    def one(self):
        call('bash', '-c', f'set -o pipefail; {self.io} gen '
             f'{self.seed + self.count} {LOAD} | '
             f'dd of=load-{self.count} bs=1M iflag=fullblock', cwd=self.top)
        self.count += 1

    def go(self):
        start = time.monotonic()
        try:
            while not self.over:
                ahead = (self.count - LOAD_AHEAD) * LOAD / LOAD_RATE
                if time.monotonic() - start > ahead:
                    self.one()
                time.sleep(0.02)
        except Failed as e:
            self.failed = e

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=self.go)
        thread.start()
        time.sleep(LOAD_WARM_S)
        try:
            yield
        finally:
            self.over = True
            thread.join()
        if self.failed:
            raise self.failed

    def check(self, top):
        for i in range(self.count):
            call('bash', '-c', f'set -o pipefail; {self.io} gen '
                 f'{self.seed + i} {LOAD} | cmp - load-{i}', cwd=top)


@contextlib.contextmanager
def strangers(t):
    """As many bytes to the same server by curl, over lines of their own: what
    the load costs on these processors alone, whoever does it."""
    b = t.bench
    (b.shm / 'raw.bin').write_bytes(os.urandom(lab.OBJECT))
    with lab.Paths(b.lab, *(LINE,) * 3) as paths:
        bucket = [b.lab.bucket() for _ in paths.ports]
        jobs = [lab.curl_list(b.shm, f'other-{i}', port, bucket[i], 64, True)
                for i, port in enumerate(paths.ports)]
        children = [subprocess.Popen(
            ('curl', '--parallel', '--parallel-immediate', '--parallel-max',
             '4', '-K', j), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL) for j in jobs]
        try:
            yield
        finally:
            for c in children:
                c.kill()
                c.wait()
    for name in bucket:
        b.lab.purge(name)
    (b.shm / 'raw.bin').unlink()


def waste(t, top, seed, count):
    (top / 'waste').mkdir()
    call(t.bench.io, 'make', top / 'waste', count, WASTE, seed)


@contextlib.contextmanager
def repacking(t):
    """Two of three of those files are gone: their packs are poor."""
    names = sorted(os.listdir(t.subject.mount / 'waste'))
    t.gone += [n for i, n in enumerate(names) if i % 3]
    for n in t.gone:
        (t.subject.mount / 'waste' / n).unlink()

    def copied():
        return told(t)['garbage']['copied_bytes_total']
    wait_for('repacking', lambda: copied() > 0)
    before = copied()
    yield
    t.say(f'copied meanwhile: {(copied() - before) / lab.MIB:.1f} MiB')


@contextlib.contextmanager
def draining(t):
    call(t.bench.tool, 'drain', t.subject.ini, 'a', '--background')
    yield


def told(t):
    return json.loads(call(t.bench.tool, 'stats', t.subject.ini, '--json'))


# --- the suite --------------------------------------------------------------------

def measure(t, programs, paths, name, work):
    """Alone, then beside it: p99 of each sort, and how many times that."""
    if not any(t.bench.wanted(f'{name}_{s}', 'beside') for s in SORTS):
        return
    alone = programs.run()
    seen = paths.counters()
    with work:
        beside = programs.run()
        t.noted(f'beside_{name}', paths.since(seen))
    for s in SORTS:
        if min(len(alone[s]), len(beside[s])) < 50:
            raise Failed(f'{name}: only {len(alone[s])} and {len(beside[s])} '
                         f'of {s} were counted')
        for what, took in (('alone', alone[s]), ('beside', beside[s])):
            t.say(f'{name} {s} {what}: {len(took)}, p50 '
                  f'{took[len(took) // 2] * 1000:.2f} ms, p99 '
                  f'{p99(took) * 1000:.2f} ms')
        t.note(f'alone_{s}', p99(alone[s]) * 1000)
        t.note(f'{name}_{s}', p99(beside[s]) / p99(alone[s]))


def settings(subject, text):
    ini = subject.ini.read_text()
    subject.ini.write_text(ini.replace('[volume]\n', '[volume]\n' + text))


def phases(t, s, paths, programs, seed):
    top = s.mount
    load = Load(t, top, seed + 100)
    measure(t, programs, paths, 'others', strangers(t))
    measure(t, programs, paths, 'uploads', load.running())
    s.settle()
    s.close()
    settings(s, 'repack_age = 1s\nkeep_deleted = 1s\n')
    programs.again(s.open(cold=False))
    measure(t, programs, paths, 'repack', repacking(t))
    measure(t, programs, paths, 'drain', draining(t))
    return load


def checked(t, s, paths, programs, load, seed):
    """Every byte, from the clouds, without delay."""
    s.settle()
    s.close()
    for p in paths.proxies:
        p.again(())
    programs.again(s.open(cold=True))
    programs.check()
    for name, path in programs.sources.items():
        same(path, s.mount / name)
    load.check(s.mount)
    left = sorted(os.listdir(s.mount / 'waste'))
    want = t.bench.shm / 'waste'
    want.mkdir()
    try:
        call(t.bench.io, 'make', want, len(left) + len(t.gone), WASTE, seed)
        if left != sorted(set(os.listdir(want)) - set(t.gone)):
            raise Failed('NOT WHAT WAS WRITTEN: names of waste')
        for n in left:
            same(want / n, s.mount / 'waste' / n)
    finally:
        call('rm', '-rf', want)


def beside(t):
    b = t.bench
    seed = 7000 + 1000 * t.rep
    sources = {'cold': b.shm / 'cold', 'near': b.shm / 'near'}
    sizes = {'cold': 3 << 28, 'near': 1 << 29}
    for i, (name, path) in enumerate(sources.items()):
        with open(path, 'wb') as out:
            subprocess.run([b.io, 'gen', str(seed + i), str(sizes[name])],
                           stdout=out, check=True)
    programs, t.gone = None, []
    try:
        with lab.Paths(b.lab, *((),) * 3) as paths:
            with t.volume(paths, stores=3, layout='mirror:2') as s:
                top = s.open()
                call('dd', f'if={sources["cold"]}', f'of={top / "cold"}',
                     'bs=1M')
                waste(t, top, seed, 300)
                s.settle()
                s.close()
                top = s.open(cold=True)
                call('dd', f'if={sources["near"]}', f'of={top / "near"}',
                     'bs=1M')
                s.settle()
                s.close()
                for p in paths.proxies:
                    p.again(LINE)
                s.open()
                programs = Programs(t, paths, s.mount, sources, seed)
                load = phases(t, s, paths, programs, seed)
                checked(t, s, paths, programs, load, seed)
    finally:
        if programs:
            programs.close()
        for path in sources.values():
            path.unlink(missing_ok=True)
