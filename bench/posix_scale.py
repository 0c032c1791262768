"""posix_scale.py - what a million files cost, next to ten thousand.

No reference but ourselves: two volumes, a deep tree of files of 64 bytes and one
flat directory of empty ones; each rate stands beside that of a fresh volume with
10,000 of the same.
"""
import contextlib
import os
import statistics
import sys
import time

from posix_subjects import Pluri, call, forget, memory, processor

SMALL = 10000
MIB = 1 << 20


class Shape:
    def __init__(self, bench, name, *options):
        self.bench, self.name, self.options = bench, name, options
        self.pluri = Pluri(bench.base, bench.build)
        bench.subjects.append(self.pluri)
        self.top = None
        self.values = {}

    def note(self, name, value):
        print(f'{self.name} {name} {value:.6g}', file=sys.stderr, flush=True)
        self.values.setdefault(name, []).append(value)

    def __getitem__(self, name):
        return statistics.median(self.values[name])

    def open(self, where):
        self.top = self.pluri.open(f'{self.name}-{where}') / 'all'
        self.top.mkdir(exist_ok=True)

    def loop(self, op, count, *options):
        return float(call(self.bench.loops, *options, *self.options, op, self.top,
                          count))

    @contextlib.contextmanager
    def burnt(self, name, count):
        """The daemon's own time for each of so many files: other work on the
        machine disturbs it less than the rate."""
        before = processor(self.pluri.pid)
        yield
        self.note(name + '.cpu',
                  (processor(self.pluri.pid) - before) / count * 1e6)

    def rate(self, name, op, count, *options, files=None):
        with self.burnt(name, files or count):
            self.note(name, self.loop(op, count, *options))

    def find(self, name, count):
        """Every file, its attributes asked for, after a fresh mount."""
        forget()
        with self.burnt(name, count):
            start = time.monotonic()
            call('find', self.top, '-type', 'f', '-newermt', '2100-01-01')
            self.note(name, count / (time.monotonic() - start))

    def rss(self, name, field='VmRSS'):
        self.note(name, memory(self.pluri.pid, field) / MIB)


def rates(s, name, where, count, reps):
    """Listing and stat of what is there, each after a mount of its own."""
    for _ in range(reps):
        for op in ('list', 'find'):
            if op == 'list' and s.name == 'deep':
                continue
            s.open(where)
            s.rss(f'{name}.before')
            forget()
            if op == 'find':
                s.find(f'{name}.find', count)
            else:
                s.rate(f'{name}.list', 'list', count)
            s.rss(f'{name}.{op}.after')
            s.rss(f'{name}.{op}.most', 'VmHWM')
            s.pluri.close()
        s.open(where)
        forget()
        s.rate(f'{name}.stat', 'stat', count, '-r', SMALL, files=SMALL)
        s.pluri.close()


def small(s, reps):
    for i in range(reps):
        where = f'small{i}'
        s.open(where)
        s.rate('small.create', 'create', SMALL)
        s.pluri.close()
    rates(s, 'small', where, SMALL, reps)


def large(s, count, reps):
    s.open('large')
    s.rate('large.all', 'create', count)
    s.pluri.settle()
    s.rss('large.made', 'VmHWM')
    s.pluri.close()
    s.note('database', s.pluri.database() / count)
    rates(s, 'large', 'large', count, reps)
    s.open('large')
    for i in range(reps):
        s.pluri.settle()
        s.rate('large.create', 'create', SMALL, '-f', count + i * SMALL)
    s.pluri.close()


def moving(s, entries, reps):
    """A directory of many entries gets another name, and another parent."""
    s.open('moving')
    s.loop('create', entries)
    s.pluri.settle()
    away = s.top.with_name('away')
    away.mkdir()
    for i in range(max(reps, 5)):
        start = time.monotonic()
        os.rename(s.top, away / 'all')
        s.note('rename', (time.monotonic() - start) * 1000)
        os.rename(away / 'all', s.top)
    s.pluri.close()


def run(bench, reps, count):
    shapes = [s for s in (Shape(bench, 'deep', '-d', '-b', 64),
                          Shape(bench, 'flat')) if bench.wanted(s.name)]
    for s in shapes:
        try:
            small(s, reps)
            large(s, count, reps)
            if s.name == 'flat':
                moving(s, count // 10, reps)
        finally:
            s.pluri.close()
    return [r for s in shapes for r in rows(s, count)]


def row(name, what, unit, one, many, target, least=True):
    ratio = many / one if one else None
    judged = ratio if least and one else many
    return {'name': name, 'what': what, 'unit': unit, 'small': one,
            'large': many, 'ratio': ratio, 'target': target,
            'met': judged >= target if least else judged < target}


def rates_rows(s, text):
    words = {'create': 'create', 'stat': 'stat, names forgotten',
             'list': 'readdir', 'find': 'find, attributes of each'}
    for n in words:
        if f'large.{n}' not in s.values:
            continue
        yield row(f'{s.name}.{n}', f'{text}: {words[n]}', '/s',
                  s['small.' + n], s['large.' + n], 0.8)
        burnt = row(f'{s.name}.{n}.cpu', '  the daemon\'s time for it', 'us',
                    s[f'small.{n}.cpu'], s[f'large.{n}.cpu'], 0)
        yield burnt | {'target': None, 'met': None}


def rows(s, count):
    text = {'deep': 'deep tree', 'flat': 'flat'}[s.name]
    yield from rates_rows(s, text)
    yield row(f'{s.name}.rss', f'{text}: daemon after find', 'MiB',
              s['small.find.after'], s['large.find.after'], 300, False)
    yield row(f'{s.name}.hwm', f'{text}: daemon during find, most', 'MiB',
              s['small.find.most'], s['large.find.most'], 300, False)
    yield row(f'{s.name}.made', f'{text}: daemon while making all, most',
              'MiB', None, s['large.made'], 300, False)
    yield row(f'{s.name}.database', f'{text}: database', 'bytes/file', None,
              s['database'], 400, False)
    if s.name != 'flat':
        return
    yield row('flat.list.most', 'flat: daemon grows while listing', 'MiB',
              s['small.list.most'] - s['small.before'],
              s['large.list.most'] - s['large.before'], 16, False)
    yield row('rename', f'rename of a directory of {count // 10}', 'ms', None,
              s['rename'], 5, False)


def table(got):
    def short(x):
        return '-' if x is None else f'{x:.0f}' if x >= 1000 else f'{x:.3g}'
    out = ['', f'{"":<48}{"at 10,000":>10}{"at most":>10}{"ratio":>8}'
           f'{"target":>8}']
    for r in got:
        out.append(f'{r["what"] + ", " + r["unit"]:<48}{short(r["small"]):>10}'
                   f'{short(r["large"]):>10}{short(r["ratio"]):>8}'
                   f'{short(r["target"]):>8} '
                   f'{ {None: "-", True: "met", False: "MISS"}[r["met"]]}')
    return '\n'.join(out)
