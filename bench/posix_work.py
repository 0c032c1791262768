"""posix_work.py - the work of bench/posix, one function a row of figures.

Each takes a Turn: a subject that has just been mounted, and where to put the
figures. Rates are per second, times in seconds.
"""
import contextlib
import io
import os
import pathlib
import random
import re
import shutil
import subprocess
import tarfile
import time

from posix_subjects import Failed, call, forget

PG = pathlib.Path('/usr/lib/postgresql')
LIST = 100000


class Turn:
    """One subject, one repetition."""

    def __init__(self, bench, subject, rep, note):
        self.bench, self.subject, self.rep = bench, subject, rep
        self.note = note

    def wants(self, *names):
        return any(self.bench.wanted(n) for n in names)

    @contextlib.contextmanager
    def at(self, where, common=False):
        """Mounted: a place of this repetition, or one common to all of them,
        and to all that pass the disk through."""
        if not common:
            where = f'{where}-{self.subject.name}-{self.rep}'
        try:
            yield self.subject.open(where)
        finally:
            self.subject.close()

    @contextlib.contextmanager
    def counted(self, name, per=1):
        """Requests of the mount by kind, when they are asked for."""
        self.subject.settle()
        trace = self.bench.requests
        if not trace or not hasattr(self.subject, 'mount'):
            yield
            return
        trace.start(self.subject.mount)
        yield
        self.bench.noted_requests(name, self.subject.name, trace.stop(), per)

    def loop(self, name, op, where, count, *options):
        """A loop of bench_posix; name None: only to prepare."""
        command = (self.bench.loops, *options, op, where, count)
        if not name:
            call(*command)
            return
        with self.counted(name, count):
            rate = float(call(*command))
        self.note(name, rate)

    def timed(self, name, work, per=None):
        """per: a rate of so many; without: the seconds."""
        with self.counted(name, per or 1):
            start = time.monotonic()
            work()
            took = time.monotonic() - start
        self.note(name, per / took if per else took)


# --- single calls ---------------------------------------------------------------

def meta(t):
    n = t.bench.count
    with t.at('meta') as top:
        for name, options in (('create1', ()), ('create4', ('-t', 4)),
                              ('create4s', ('-t', 4, '-s'))):
            (top / name).mkdir()
            if name == 'create1' or t.wants(name):
                forget()
                t.loop(name, 'create', top / name, n, *options)
        (top / 'more').mkdir()
        forget()
        for op in ('mkdir', 'symlink'):
            if t.wants(op):
                t.loop(op, op, top / 'more', n, '-p', op[0])
        one = top / 'create1'
        forget()
        t.loop('stat', 'stat', one, n)
        t.loop('getattr', 'getattr', one, n)
        t.loop('chmod', 'chmod', one, n)
        t.loop('link', 'link', one, n)
        t.loop('rename', 'rename', one, n)


def unlink(t):
    """What meta left; the names are known to the kernel again."""
    n = t.bench.count
    with t.at('meta') as top:
        if not (top / 'create1').exists():
            (top / 'create1').mkdir()
            t.loop(None, 'create', top / 'create1', n, '-p', 'g')
        t.loop(None, 'stat', top / 'create1', n, '-p', 'g')
        t.loop('unlink', 'unlink', top / 'create1', n, '-p', 'g')


def listing(t):
    """Each after a mount of its own: the kernel keeps listings as pages."""
    for text, n in (('100k', t.bench.list), ('10k', t.bench.list // 10)):
        where = f'list{text}'
        for name, op in ((where, 'list'), ('ls' + text, 'listplus')):
            if not t.wants(name):
                continue
            with t.at(where, common=True) as top:
                if not any(top.iterdir()):
                    listing_make(t, top, n)
            with t.at(where, common=True) as top:
                forget()
                t.loop(name, op, top, n)


def listing_make(t, top, n):
    """Past passthrough_ll, which could not hold so many."""
    if t.subject.pid and hasattr(t.subject, 'source'):
        top = t.subject.source
    t.loop(None, 'create', top, n)


# --- programs ---------------------------------------------------------------------

def tree(bench):
    """The tar of small files: half of them words, half noise."""
    path = bench.shm / 'tree.tar'
    if path.exists():
        return path
    dice = random.Random(1)
    words = [dice.randbytes(dice.randrange(1, 6)).hex() for _ in range(2000)]
    with tarfile.open(path, 'w') as tar:
        for i in range(bench.tree):
            if i % 50 == 0:
                top = tarfile.TarInfo(f'tree/d{i // 1000:03}/e{i // 50:04}')
                top.type, top.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(top)
            size = dice.randrange(16385)
            data = (dice.randbytes(size) if i % 2 else
                    ' '.join(dice.choices(words, k=size // 4)).encode())[:size]
            info = tarfile.TarInfo(f'{top.name}/f{i:06}.c')
            info.size, info.mtime = len(data), 1700000000 + i
            tar.addfile(info, io.BytesIO(data))
    return path


def unpack(t):
    tar = tree(t.bench)
    with t.at('unpack') as top:
        forget()
        t.timed('tar', lambda: call('tar', 'xf', tar, '-C', top),
                per=t.bench.tree)


def remove(t):
    tar = tree(t.bench)
    with t.at('unpack') as top:
        if not (top / 'tree').exists():
            call('tar', 'xf', tar, '-C', top)
        forget()
        t.timed('rm', lambda: call('rm', '-rf', top / 'tree'),
                per=t.bench.tree)


def git_run(*words, cwd=None):
    day = '2024-01-01T00:00:00Z'
    env = dict(os.environ, GIT_CONFIG_NOSYSTEM='1', GIT_CONFIG_GLOBAL='/dev/null',
               GIT_AUTHOR_DATE=day, GIT_COMMITTER_DATE=day)
    return call('git', '-c', 'user.name=b', '-c', 'user.email=b@localhost', '-c',
                'safe.directory=*', '-c', 'init.defaultBranch=main', *words,
                cwd=cwd, env=env)


def repository(bench):
    """A third of the tree in three commits, packed."""
    path = bench.shm / 'repo'
    if path.exists():
        return path
    call('tar', 'xf', tree(bench), '-C', bench.shm)
    work = bench.shm / 'tree'
    files = sorted(p for p in work.rglob('*') if p.is_file())
    for p in files[len(files) // 3:]:
        p.unlink()
    git_run('init', '-q', work)
    for i in range(3):
        git_run('add', '-A', cwd=work)
        git_run('commit', '-qm', f'{i}', cwd=work)
        for p in files[i:len(files) // 3:10]:
            p.write_bytes(p.read_bytes() + b'changed\n')
    git_run('clone', '-q', '--bare', work, path)
    git_run('gc', '-q', cwd=path)
    shutil.rmtree(work)
    return path


def settle(clone):
    """An index younger than its files: git reads again whatever has the second
    of its index, which is the more files the faster the clone was."""
    index = clone / '.git/index'
    made = int(index.stat().st_mtime)
    while int(time.time()) <= made:
        time.sleep(0.05)
    index.unlink()
    git_run('reset', '-q', cwd=clone)
    git_run('status', cwd=clone)


def git(t):
    repo = repository(t.bench)
    with t.at('git') as top:
        forget()
        t.timed('clone', lambda: git_run('clone', '-q', '--no-hardlinks', repo,
                                         top / 'clone'))
        settle(top / 'clone')
        for name in ('status_cold', 'status_warm'):
            if name == 'status_cold':
                forget()
            t.timed(name, lambda: git_run('status', cwd=top / 'clone'))


def compile_c(t):
    with t.at('build') as top:
        src = top / 'src'
        src.mkdir()
        call('sh', '-c', 'git -C "$1" ls-files -zco --exclude-standard | '
             'tar -C "$1" --null -T - -cf - | tar xf - -C "$2"', 'sh',
             t.bench.here, src)
        call('meson', 'setup', '-Doptimization=0', src / 'b', src)
        t.timed('compile', lambda: call('ninja', '-C', src / 'b', '-j2', 'pluri'))


# --- databases --------------------------------------------------------------------

def sqlite(t):
    with t.at('sqlite') as top:
        for level, n in (('FULL', t.bench.count // 10), ('NORMAL', t.bench.count)):
            name = 'sqlite_' + level.lower()
            if not t.wants(name):
                continue
            sql = ['PRAGMA journal_mode=WAL;', f'PRAGMA synchronous={level};',
                   'CREATE TABLE t(i INTEGER PRIMARY KEY, s TEXT);']
            sql += [f"BEGIN; INSERT INTO t VALUES({i}, '{i:0100}'); COMMIT;"
                    for i in range(n)]
            script = t.bench.shm / 'sql'
            script.write_text('\n'.join(sql) + '\n')
            file = top / f'{name}.db'
            t.timed(name, lambda: sqlite_run(script, file), per=n)


def sqlite_run(script, file):
    with open(script, encoding='ascii') as f:
        call('sqlite3', file, stdin=f)


def postgres_tools():
    found = sorted(PG.glob('*/bin'), key=lambda p: float(p.parent.name))
    if not found:
        raise Failed('postgresql is not installed')
    return found[-1]


def pgbench(t):
    tools = postgres_tools()
    seconds = t.bench.seconds
    data = None

    def run(*command):
        words = ['runuser', '-u', 'postgres', '--']
        return call(*words, *command, cwd='/')
    with t.at('pg') as top:
        data = top / 'pg'
        data.mkdir(mode=0o700)
        shutil.chown(data, 'postgres', 'postgres')
        sockets = t.bench.shm / 'sockets'
        sockets.mkdir(exist_ok=True)
        shutil.chown(sockets, 'postgres', 'postgres')
        run(tools / 'initdb', '-D', data, '-A', 'trust', '--no-locale')
        run(tools / 'pg_ctl', '-D', data, '-w', '-l', sockets / 'log', '-o',
            f"-k {sockets} -c listen_addresses=''", 'start')
        try:
            bench = (tools / 'pgbench', '-h', sockets, '-U', 'postgres')
            t.timed('pg_init', lambda: run(*bench, '-q', '-i', '-s', 5,
                                           'postgres'))
            with t.counted('pg_tps'):
                out = run(*bench, '-c', 4, '-j', 2, '-T', seconds, 'postgres')
            t.note('pg_tps', float(re.search(r'tps = ([\d.]+)', out)[1]))
        finally:
            subprocess.run(['runuser', '-u', 'postgres', '--', tools / 'pg_ctl',
                            '-D', data, '-m', 'immediate', '-w', 'stop'],
                           cwd='/', check=False, stdout=subprocess.DEVNULL)


# name: what it does, unit, target against passthrough_ll, better when more
FIGURES = {
    'create1': ('create + close, 1 thread', '/s', 1.3, True),
    'create4': ('create + close, 4 threads, own directories', '/s', 1.3, True),
    'create4s': ('create + close, 4 threads, one directory', '/s', 1.3, True),
    'mkdir': ('mkdir', '/s', 1.0, True),
    'symlink': ('symlink', '/s', 1.0, True),
    'link': ('link', '/s', 1.0, True),
    'rename': ('rename', '/s', 1.0, True),
    'chmod': ('chmod', '/s', 1.0, True),
    'unlink': ('unlink', '/s', 1.0, True),
    'stat': ('stat, names forgotten (lookup)', '/s', 0.9, True),
    'getattr': ('statx, forced to ask (getattr)', '/s', 0.9, True),
    'ls100k': ('readdir + stat of 100,000 entries', '/s', 1.0, True),
    'list100k': ('readdir of 100,000 entries', '/s', 1.0, True),
    'ls10k': ('readdir + stat of 10,000 entries', '/s', 1.0, True),
    'list10k': ('readdir of 10,000 entries', '/s', 1.0, True),
    'tar': ('tar x of 20,000 small files', 'files/s', 1.0, True),
    'rm': ('rm -rf of them', 'files/s', 1.0, True),
    'clone': ('git clone', 's', 0.8, False),
    'status_cold': ('git status, cold', 's', 0.8, False),
    'status_warm': ('git status, warm', 's', 0.8, False),
    'compile': ('compile of a C project, -j2', 's', 0.8, False),
    'sqlite_full': ('SQLite, WAL, synchronous=FULL', 'tx/s', 0.7, True),
    'sqlite_normal': ('SQLite, WAL, synchronous=NORMAL', 'tx/s', 0.7, True),
    'pg_init': ('pgbench -i -s 5', 's', 0.7, False),
    'pg_tps': ('pgbench -c 4 -j 2', 'tx/s', 0.7, True),
}
SUITES = (
    ('meta', meta, ('create1', 'create4', 'create4s', 'mkdir', 'symlink', 'link',
                    'rename', 'chmod', 'stat', 'getattr')),
    ('listing', listing, ('ls100k', 'list100k', 'ls10k', 'list10k')),
    ('unpack', unpack, ('tar',)),
    ('git', git, ('clone', 'status_cold', 'status_warm')),
    ('build', compile_c, ('compile',)),
    ('sqlite', sqlite, ('sqlite_full', 'sqlite_normal')),
    ('pgbench', pgbench, ('pg_init', 'pg_tps')),
)
# After all repetitions of the above: see Disk.open.
SUITES_LAST = (
    ('unlink', unlink, ('unlink',)),
    ('remove', remove, ('rm',)),
)
