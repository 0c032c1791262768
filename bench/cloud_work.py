"""cloud_work.py - large files and small ones, to the clouds and back: a suite
of bench/cloud a function.

Each takes a Turn: a subject, or None for no filesystem at all, and where to put
the figures. All that is read is compared with what was written.
"""
import contextlib
import time

import cloud_lab as lab
import posix_work
from posix_subjects import Failed, call, processor

DELAY = 25                  # ms each way, where a row says "far"
RATE = 200 * 1000000 // 8   # bytes a second of a store, where it is narrow
SMALL = 4096


class Turn:
    def __init__(self, bench, subject, rep, note, noted, say):
        self.bench, self.subject, self.rep = bench, subject, rep
        self.note, self.noted, self.say = note, noted, say

    @contextlib.contextmanager
    def volume(self, paths, **options):
        """A new one, gone at the end; not mounted yet."""
        try:
            self.subject.create(paths, **options)
            yield self.subject
        finally:
            self.subject.destroy()


def timed(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


def same(ours, theirs):
    try:
        call('cmp', ours, theirs)
    except Failed as e:
        raise Failed(f'NOT WHAT WAS WRITTEN: {e}') from e


def mib(n, seconds):
    return n / lab.MIB / seconds


@contextlib.contextmanager
def measured(t, figure, paths, total):
    """MiB/s, what the mount's process took of the processors, and requests."""
    seen, spent = paths.counters(), processor(t.subject.pid)
    server = t.bench.lab.processor()
    start = time.monotonic()
    yield
    t.note(figure, mib(total, time.monotonic() - start))
    spent = processor(t.subject.pid) - spent
    t.note(figure + '_cpu', spent * (1 << 30) / total)
    t.note(figure + '_server',
           (t.bench.lab.processor() - server) * (1 << 30) / total)
    if paths.proxies:
        t.noted(figure, paths.since(seen))


# --- one large file ---------------------------------------------------------------

def large(t, key, ways, connections, total):
    """ways: options of a proxy each, or none for straight to the server."""
    b = t.bench
    with lab.Paths(b.lab, *ways) as paths:
        if not t.subject:
            up, down = lab.raw(b.lab, paths, total, connections, b.shm)
            for name, (speed, server) in (('write', up), ('read', down)):
                t.note(name + key, speed / lab.MIB)
                t.note(name + key + '_server', server * (1 << 30))
            return
        source = b.noise(t.rep, total)
        with t.volume(paths, stores=max(len(ways), 1)) as s:
            top = s.open()
            with measured(t, 'write' + key, paths, total):
                call('dd', f'if={source}', f'of={top / "file"}', 'bs=1M')
                s.settle(1, total)
            s.close()
            top = s.open(cold=True)
            with measured(t, 'read' + key, paths, total):
                call('dd', f'if={top / "file"}', 'of=/dev/null', 'bs=1M')
            same(source, top / 'file')


def near(t):
    large(t, '', (), 8, t.bench.bytes)


def far(t):
    large(t, '_far', (('--delay', DELAY),), 16, t.bench.bytes)


def narrow(t):
    """No peer adds stores up: it is measured against the lines alone."""
    large(t, '_narrow', (('--rate', RATE),) * 3, 8, t.bench.bytes)


# --- small files ------------------------------------------------------------------

def small(t):
    b = t.bench
    count = b.files // t.subject.share
    with lab.Paths(b.lab, ('--delay', DELAY)) as paths:
        with t.volume(paths) as s:
            top = s.open()
            (top / 'd').mkdir()
            words = ('make', top / 'd', count, SMALL, t.rep)
            seen = paths.counters()
            t.note('small', count / timed(
                lambda: (call(b.io, *words), s.settle(count, count * SMALL))))
            used = paths.since(seen)
            t.noted('small', used, count)
            t.note('small_puts', used['PUT'] / (10 + count * SMALL / 2 ** 23))
            s.close()
            top = s.open(cold=True)
            seen = paths.counters()
            words = ('look', top / 'd', count, SMALL, t.rep)
            t.note('look', count / timed(lambda: call(b.io, *words)))
            t.noted('look', paths.since(seen), count)


def unpack(t):
    """A tar of many small files, by tar."""
    b = t.bench
    tar = posix_work.tree(b)
    names = [n for n in call('tar', 'tf', tar).splitlines() if n[-1] != '/']
    names = names[:b.tree // t.subject.share]
    some = b.shm / 'names'
    some.write_text('\n'.join(names) + '\n')
    with lab.Paths(b.lab, ('--delay', DELAY)) as paths:
        with t.volume(paths) as s:
            top = s.open()
            seen = paths.counters()
            t.note('tar', len(names) / timed(lambda: (
                call('tar', 'xf', tar, '-C', top, '-T', some),
                s.settle(len(names)))))
            t.noted('tar', paths.since(seen), len(names))
            s.close()
            paths.proxies[0].again(())
            top = s.open(cold=True)
            want = b.shm / 'tree-want'
            want.mkdir()
            try:
                call('tar', 'xf', tar, '-C', want, '-T', some)
                for n in names:
                    if (top / n).read_bytes() != (want / n).read_bytes():
                        raise Failed(f'NOT WHAT WAS WRITTEN: {n}')
            finally:
                call('rm', '-rf', want)
