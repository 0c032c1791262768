"""cloud_subjects.py - what bench/cloud compares, each over buckets of the same
server: plurifs, s3fs, and rclone with its whole VFS cache.

A subject's work directory and buckets are made by create() and gone after
destroy(); between, it is mounted and unmounted as often as a figure needs. Each
gets the options that its own documentation recommends for speed.
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
import urllib.request

from cloud_lab import KEY, REGION, SECRET, free_port
from posix_subjects import Failed, call, memory, wait_for

DROP = pathlib.Path('/proc/sys/vm/drop_caches')
UPLOADS = 8          # parts of one file at a time, for whoever asks
SETTLE_S = 3600


def forget():
    """The kernel holds neither names nor bytes of any of them."""
    os.sync()
    DROP.write_text('3')


class Subject:
    """name; share: of how many small files it is given one, since it would
    take hours for all of them, and its rate does not depend on their number."""
    share = 1

    def __init__(self, bench):
        self.bench, self.lab = bench, bench.lab
        self.mount = bench.base / f'mnt-{self.name}'
        self.home = bench.base / f'home-{self.name}'
        self.pid, self.buckets = None, []

    def create(self, paths, stores=1, layout='mirror:1'):
        self.home.mkdir()
        self.mount.mkdir(exist_ok=True)
        self.buckets = [self.lab.bucket() for _ in range(stores)]
        self.urls = [f'http://127.0.0.1:{paths.ports[i % len(paths.ports)]}'
                     for i in range(stores)]
        self.layout = layout
        self.made()

    def destroy(self):
        self.close()
        for b in self.buckets:
            with contextlib.suppress(Failed):
                self.lab.purge(b)
        self.buckets = []
        shutil.rmtree(self.home, ignore_errors=True)

    def left(self):
        """Waits until the mount's process is gone."""
        if self.pid:
            pid, self.pid = self.pid, None
            for _ in range(6000):
                if not os.path.exists(f'/proc/{pid}'):
                    return
                time.sleep(0.01)
            raise Failed(f'{self.name} ({pid}) does not end')


class Pluri(Subject):
    name, text = 'pluri', 'plurifs'

    def made(self):
        text = ('[volume]\nname = bench\nstate = state\ncache = 100G\n'
                'key = file:key\n')
        for i, bucket in enumerate(self.buckets):
            text += (f'[store "{"abcdefgh"[i]}"]\nbackend = s3\n'
                     f'url = {self.urls[i]}/{bucket}\nregion = {REGION}\n'
                     'credentials = file:cred\npayload = unsigned\n')
        text += f'[policy "default"]\nlayout = {self.layout}\n'
        self.ini = self.home / 'v.ini'
        self.ini.write_text(text)
        cred = self.home / 'cred'
        cred.write_text(f'access_key_id = {KEY}\n'
                        f'secret_access_key = {SECRET}\n')
        cred.chmod(0o600)
        call(self.bench.tool, 'create', self.ini)

    def open(self, cold=False):
        call(self.bench.tool, 'mount', self.ini, self.mount)
        self.pid = json.loads(call(self.bench.tool, 'status', self.ini,
                                   '--json'))['pid']
        if cold:
            call(self.bench.tool, 'cache', 'clear', self.ini)
        forget()
        return self.mount

    def settle(self, count=0, size=0):
        call(self.bench.tool, 'sync', self.mount)

    def memory(self):
        return memory(self.pid, 'VmHWM')

    def close(self):
        if os.path.ismount(self.mount):
            try:
                call(self.bench.tool, 'umount', self.mount)
            except Failed:
                subprocess.run(['fusermount3', '-u', '-z', self.mount],
                               check=False)
        self.left()


class Peer(Subject):
    """A process in the foreground that mounts."""
    child = log = None

    def made(self):
        self.cache = 0

    def settle(self, count=0, size=0):
        """Until so many files, and bytes of them, are in the bucket."""

    def open(self, cold=False):
        if cold or not self.cache:
            self.cache += 1
        room = self.home / f'cache-{self.cache}'
        room.mkdir(exist_ok=True)
        self.log = open(self.home / 'log', 'ab')
        self.child = subprocess.Popen(
            [str(c) for c in self.command(room)], stdout=self.log,
            stderr=self.log, start_new_session=True,
            env=self.environment())
        self.pid = self.child.pid
        wait_for(self.name, lambda: os.path.ismount(self.mount)
                 or self.child.poll() is not None)
        if self.child.poll() is not None:
            raise Failed(f'{self.name} ended: '
                         + (self.home / 'log').read_text()[-400:])
        forget()
        return self.mount

    def environment(self):
        """Nothing that is meant for other servers."""
        return {k: v for k, v in os.environ.items()
                if not k.startswith(('AWS_', 'RCLONE_'))
                and not k.lower().endswith('_proxy')}

    def memory(self):
        return memory(self.pid, 'VmHWM')

    def close(self):
        if not self.child:
            return
        if os.path.ismount(self.mount):
            subprocess.run(['fusermount3', '-u', self.mount], check=False)
        try:
            self.child.wait(60)
        except subprocess.TimeoutExpired:
            subprocess.run(['fusermount3', '-u', '-z', self.mount],
                           check=False)
            self.child.kill()
            self.child.wait()
        self.child = self.pid = None
        self.log.close()
        if os.path.ismount(self.mount):
            subprocess.run(['fusermount3', '-u', '-z', self.mount],
                           check=False)


class S3fs(Peer):
    name, text, share = 's3fs', 's3fs', 50

    def made(self):
        super().made()
        secret = self.home / 'passwd'
        secret.write_text(f'{KEY}:{SECRET}\n')
        secret.chmod(0o600)

    def command(self, room):
        return ('s3fs', self.buckets[0], self.mount, '-f', '-o',
                f'url={self.urls[0]},use_path_request_style,passwd_file='
                f'{self.home / "passwd"},endpoint={REGION},use_cache={room},'
                f'parallel_count={UPLOADS},multipart_size=16,multireq_max=32,'
                'max_stat_cache_size=200000,enable_noobj_cache,kernel_cache,'
                'big_writes,max_background=64,mp_umask=022')


class Rclone(Peer):
    name, text, share = 'rclone', 'rclone mount', 5

    def environment(self):
        return super().environment() | {
            'RCLONE_CONFIG_B_TYPE': 's3', 'RCLONE_CONFIG_B_PROVIDER': 'Ceph',
            'RCLONE_CONFIG_B_ACCESS_KEY_ID': KEY,
            'RCLONE_CONFIG_B_SECRET_ACCESS_KEY': SECRET,
            'RCLONE_CONFIG_B_ENDPOINT': self.urls[0],
            'RCLONE_CONFIG_B_REGION': REGION,
            'RCLONE_CONFIG': str(self.home / 'rclone.conf')}

    def command(self, room):
        self.rc = free_port()
        return ('rclone', 'mount', f'b:{self.buckets[0]}', self.mount,
                '--vfs-cache-mode', 'full', '--cache-dir', room,
                '--vfs-write-back', '0s', '--dir-cache-time', '1h',
                '--attr-timeout', '1h', '--poll-interval', '0',
                '--vfs-fast-fingerprint', '--vfs-read-ahead', '64Mi',
                '--buffer-size', '16Mi', '--transfers', '32', '--s3-chunk-size',
                '16Mi', '--s3-upload-concurrency', UPLOADS,
                '--s3-disable-checksum', '--s3-no-check-bucket', '--s3-no-head',
                '--use-server-modtime', '--rc', '--rc-no-auth', '--rc-addr',
                f'127.0.0.1:{self.rc}')

    def settle(self, count=0, size=0):
        """Uploads are behind close, and may not even be known of when it
        returns: asked until none is left and the bucket holds them all."""
        question = urllib.request.Request(
            f'http://127.0.0.1:{self.rc}/vfs/stats', data=b'{}',
            headers={'Content-Type': 'application/json'})
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end:
            with urllib.request.urlopen(question, timeout=60) as answer:
                disk = json.load(answer)['diskCache']
            if disk['erroredFiles']:
                raise Failed(f'rclone: {disk["erroredFiles"]} files failed')
            if not disk['uploadsInProgress'] and not disk['uploadsQueued'] \
                    and self.lab.holds(self.buckets[0]) >= (count, size):
                return
            time.sleep(0.05)
        raise Failed(f'rclone: uploads not done in {SETTLE_S} s')
