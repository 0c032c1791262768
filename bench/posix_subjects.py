"""posix_subjects.py - what bench/posix compares, each mounted and unmounted.

Only one is mounted at any time, and what it still owes its disk is paid before
the next one's turn: nobody is measured while another one tidies up.
"""
import contextlib
import gzip
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import threading
import time

EXAMPLES = pathlib.Path('/usr/share/doc/libfuse3-dev/examples')
DROP = pathlib.Path('/proc/sys/vm/drop_caches')


class Failed(Exception):
    pass


def call(*command, **options):
    """Runs a command to its end, with all its children, and gives its output."""
    command = [str(c) for c in command]
    work = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.PIPE, start_new_session=True,
                            **options)
    try:
        out, err = work.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(work.pid, signal.SIGKILL)
        work.wait()
        raise
    if work.returncode != 0:
        raise Failed(f'{" ".join(command)[:200]}: {(err or out).strip()[-400:]}')
    return out


def forget():
    """The kernel keeps no names and attributes, but the disk's blocks: what a
    filesystem holds in its own memory and files is part of it."""
    os.sync()
    DROP.write_text('2')


def memory(pid, field):
    for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith(field + ':'):
            return int(line.split()[1]) * 1024
    return 0


def processor(pid):
    """Seconds it has run, for itself and in the kernel."""
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1]
    return sum(map(int, fields.split()[11:13])) / os.sysconf('SC_CLK_TCK')


def wait_for(what, truth):
    for _ in range(1000):
        if truth():
            return
        time.sleep(0.01)
    raise Failed(f'waited 10 s for {what}')


class Disk:
    """A directory of the disk itself."""
    name, text = 'disk', 'bare disk'

    def __init__(self, base):
        self.base = base
        self.pid = None

    def open(self, at):
        """The directory of that name to work in. What is put there stays until
        the end of all: ext4 without a journal does not give out again, for
        minutes, what was just freed, and searches past it at every create."""
        self.source = self.base / f'disk-{at}'
        self.source.mkdir(exist_ok=True)
        return self.source

    def settle(self):
        os.sync()

    def close(self):
        os.sync()


class Passthrough(Disk):
    """libfuse's own example over a directory of the same disk."""

    def __init__(self, base, name, options, program):
        super().__init__(base)
        self.name, self.options, self.program = name, options, program
        self.text = 'passthrough_ll ' + options
        self.mount = base / 'mnt-pass'
        self.daemon = None

    def open(self, at):
        super().open(at)
        self.mount.mkdir(exist_ok=True)
        self.daemon = subprocess.Popen(
            [self.program, '-f', '-o', 'allow_other,source='
             f'{self.source},{self.options}', self.mount],
            start_new_session=True, stderr=subprocess.DEVNULL)
        self.pid = self.daemon.pid
        wait_for('passthrough_ll', lambda: os.path.ismount(self.mount))
        self.full = threading.Event()
        self.watch = threading.Thread(target=self.bound, daemon=True)
        self.watch.start()
        return self.mount

    def bound(self):
        """It holds a descriptor per inode and dies of EMFILE at the limit, which
        only a few may raise: shortly before, the kernel is made to forget."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 8 // 10
        fds = f'/proc/{self.pid}/fd'
        with contextlib.suppress(OSError):
            while not self.full.wait(0.01):
                n = os.stat(fds).st_size or len(os.listdir(fds))
                if n > limit:
                    DROP.write_text('2')

    def close(self):
        if self.daemon:
            self.full.set()
            self.watch.join()
            os.sync()
            if os.path.ismount(self.mount):
                subprocess.run(['fusermount3', '-u', '-z', self.mount],
                               check=False)
            try:
                self.daemon.wait(20)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
            self.daemon = None
        super().close()


def passthrough_build(base):
    """Compiled from the package's documentation, as it stands there."""
    room = base / 'example'
    room.mkdir()
    for name in ('passthrough_ll.c', 'passthrough_helpers.h'):
        packed = EXAMPLES / (name + '.gz')
        if packed.exists():
            (room / name).write_bytes(gzip.decompress(packed.read_bytes()))
        elif (EXAMPLES / name).exists():
            shutil.copy(EXAMPLES / name, room)
        else:
            raise Failed(f'{EXAMPLES}/{name} is not there: install '
                         'libfuse3-dev (and see that dpkg keeps its /usr/share'
                         '/doc)')
    flags = call('pkg-config', '--cflags', '--libs', 'fuse3').split()
    call('cc', '-O2', '-w', '-DHAVE_FALLOCATE', '-DHAVE_COPY_FILE_RANGE', '-o',
         room / 'passthrough_ll', room / 'passthrough_ll.c', *flags)
    return room / 'passthrough_ll'


class Pluri:
    """A volume over three directories of the same disk, mirror:2."""
    name, text = 'pluri', 'plurifs'

    def __init__(self, base, build):
        self.base, self.tool = base, build / 'pluri'
        self.mount = base / 'mnt'
        self.volume = self.pid = None

    def open(self, at):
        self.volume = self.base / f'vol-{at}'
        if not self.volume.exists():
            self.create()
        self.mount.mkdir(exist_ok=True)
        call(self.tool, 'mount', self.volume / 'v.ini', self.mount, '-o',
             'allow_other')
        self.pid = json.loads(call(self.tool, 'status', self.volume / 'v.ini',
                                   '--json'))['pid']
        return self.mount

    def create(self):
        text = ('[volume]\nname = bench\nstate = state\ncache = 100G\n'
                'key = file:key\n')
        for store in 'abc':
            (self.volume / 'clouds' / store).mkdir(parents=True)
            text += (f'[store "{store}"]\nbackend = local\n'
                     f'url = clouds/{store}\n')
        text += '[policy "default"]\nlayout = mirror:2\n'
        (self.volume / 'v.ini').write_text(text)
        call(self.tool, 'create', self.volume / 'v.ini')

    def settle(self):
        call(self.tool, 'sync', self.mount)
        os.sync()

    def database(self):
        return sum(f.stat().st_size
                   for f in (self.volume / 'state').glob('*.db*'))

    def close(self):
        if os.path.ismount(self.mount):
            try:
                call(self.tool, 'umount', self.mount)
            except Failed:
                subprocess.run(['fusermount3', '-u', '-z', self.mount],
                               check=False)
            if self.pid:
                with contextlib.suppress(Failed):
                    wait_for('the daemon', lambda: not os.path.exists(
                        f'/proc/{self.pid}'))
        self.pid = None
