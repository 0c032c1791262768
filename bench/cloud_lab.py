"""cloud_lab.py - the server of bench/cloud, the proxies before it, its buckets,
and how fast it is without any filesystem.
"""
import concurrent.futures
import datetime
import hashlib
import hmac
import html
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.parse

from posix_subjects import Failed, call, processor, wait_for

KEY, SECRET, REGION = 'testkey', 'testsecret', 'us-east-1'
OBJECT = 16 << 20   # bytes of an object of the raw ceiling
MIB = 1 << 20

# USD, aws-s3-us-east-1, list price of S3 Standard as of 2026 (PUT, COPY, POST,
# LIST: 0.005 per 1,000; GET and all others: 0.0004 per 1,000; DELETE: nothing).
# Storage and traffic are the same for whoever keeps the same bytes; left out.
PRICE = {'PUT': 5e-6, 'POST': 5e-6, 'LIST': 5e-6, 'GET': 4e-7, 'HEAD': 4e-7,
         'OTHER': 4e-7, 'DELETE': 0}
KINDS = tuple(PRICE)


def money(counts):
    return sum(counts[k] * p for k, p in PRICE.items())


def story(counts):
    """Requests by kind, those there were."""
    return ' '.join(f'{counts[k]} {k}' for k in KINDS if counts[k]) or 'none'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


# --- signatures -------------------------------------------------------------------

def presign(port, method, path, seconds=43200, **more):
    """A URL whose query is its signature, so that any client can use it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day, stamp = now.strftime('%Y%m%d'), now.strftime('%Y%m%dT%H%M%SZ')
    scope = f'{day}/{REGION}/s3/aws4_request'
    query = urllib.parse.urlencode(sorted(({
        'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
        'X-Amz-Credential': f'{KEY}/{scope}', 'X-Amz-Date': stamp,
        'X-Amz-Expires': str(seconds),
        'X-Amz-SignedHeaders': 'host'} | more).items()),
        quote_via=urllib.parse.quote, safe='')
    ask = '\n'.join((method, path, query, f'host:127.0.0.1:{port}', '', 'host',
                     'UNSIGNED-PAYLOAD'))
    text = '\n'.join(('AWS4-HMAC-SHA256', stamp, scope,
                      hashlib.sha256(ask.encode()).hexdigest()))
    key = ('AWS4' + SECRET).encode()
    for part in (day, REGION, 's3', 'aws4_request', text):
        key = hmac.new(key, part.encode(), 'sha256').digest()
    return (f'http://127.0.0.1:{port}{path}?{query}&X-Amz-Signature='
            + key.hex())


def ask(port, method, path, **query):
    url = presign(port, method, path, **query)
    link = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    try:
        link.request(method, url[url.index('/', 7):])
        answer = link.getresponse()
        body = answer.read()
        if answer.status >= 300:
            raise Failed(f'{method} {path}: {answer.status} {body[:200]}')
        return body.decode()
    finally:
        link.close()


def send(port, path, body):
    """An object."""
    url = presign(port, 'PUT', path)
    link = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    try:
        link.request('PUT', url[url.index('/', 7):], body)
        answer = link.getresponse()
        if answer.status >= 300:
            raise Failed(f'PUT {path}: {answer.status} {answer.read()[:200]}')
    finally:
        link.close()


# --- proxies ----------------------------------------------------------------------

class Proxy:
    """bench_proxy before the server: a way to it with its own distance."""

    def __init__(self, lab, options):
        self.lab, self.port = lab, free_port()
        self.file = lab.base / f'proxy-{self.port}.json'
        self.start(options)

    def start(self, options):
        lab = self.lab
        self.child = subprocess.Popen(
            [lab.build / 'bench' / 'bench_proxy', '--listen', str(self.port),
             '--to', f'127.0.0.1:{lab.port}', '--counters', self.file,
             *map(str, options)], stdout=subprocess.PIPE,
            start_new_session=True)
        if not self.child.stdout.readline():
            self.child.wait()
            raise Failed('bench_proxy does not start')
        self.reports = 0

    def counters(self):
        """All of them since it began, now."""
        self.child.send_signal(signal.SIGUSR2)
        self.reports += 1
        wait_for('bench_proxy', lambda: self.file.exists() and json.loads(
            self.file.read_text())['reports'] >= self.reports)
        got = json.loads(self.file.read_text())
        if got['lost']:
            raise Failed(f'bench_proxy did not understand {got["lost"]} '
                         'connections')
        return got

    def swallow(self):
        """Becomes a black hole, or ends being one."""
        self.child.send_signal(signal.SIGUSR1)

    def close(self):
        if self.child.poll() is None:
            self.child.terminate()
            self.child.wait()
        self.child.stdout.close()
        self.file.unlink(missing_ok=True)

    def again(self, options):
        """Another distance from now on, and counters from nothing."""
        self.close()
        self.start(options)


class Paths:
    """One way or several to the server. No options: straight to it, uncounted."""

    def __init__(self, lab, *options):
        self.proxies = []
        try:
            for o in options:
                self.proxies.append(Proxy(lab, o))
        except BaseException:
            self.close()
            raise
        self.ports = [p.port for p in self.proxies] or [lab.port]

    def counters(self):
        total = {}
        for p in self.proxies:
            for k, v in p.counters().items():
                total[k] = total.get(k, 0) + v
        return total

    def since(self, before):
        return {k: v - (0 if k.startswith('most') else before.get(k, 0))
                for k, v in self.counters().items()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for p in self.proxies:
            p.close()


# --- the server -------------------------------------------------------------------

class Lab:
    def __init__(self, base, build, here):
        self.base, self.build = base, build
        self.script = here / 'bench' / 'servers' / 'radosgw.sh'
        self.dir = base / 'server'
        self.buckets = 0
        self.started = None  # seconds it took

    def start(self):
        at = time.monotonic()
        for attempt in range(4):
            self.port = 20000 + (os.getpid() + attempt * 997) % 3000 * 3
            try:
                call(self.script, 'start', self.dir, self.port)
                break
            except Failed as e:
                if attempt == 3 or 'is in use' not in str(e):
                    raise
        self.started = time.monotonic() - at

    def bucket(self):
        """A new one's name."""
        self.buckets += 1
        name = f'bench-{self.buckets}'
        ask(self.port, 'PUT', f'/{name}')
        return name

    def holds(self, name):
        """Objects of a bucket, and their bytes."""
        count, size, marker = 0, 0, ''
        while True:
            page = ask(self.port, 'GET', f'/{name}', marker=marker)
            sizes = re.findall(r'<Size>(\d+)</Size>', page)
            count, size = count + len(sizes), size + sum(map(int, sizes))
            if '<IsTruncated>true' not in page:
                return count, size
            marker = html.unescape(re.findall(r'<Key>([^<]*)</Key>', page)[-1])

    def purge(self, name):
        call(self.script, 'purge', self.dir, name)

    def processor(self):
        """Seconds that the server has run so far."""
        pids = [line.split()[0] for line in
                (self.dir / 'radosgw.pid').read_text().splitlines()]
        return sum(map(processor, pids))

    def stop(self):
        if self.dir.exists():
            subprocess.run([self.script, 'stop', self.dir], check=False)


# --- without a filesystem ---------------------------------------------------------

def curl_list(base, name, port, bucket, count, put):
    """What one curl is to do, as its configuration."""
    lines = []
    for i in range(count):
        url = presign(port, 'PUT' if put else 'GET', f'/{bucket}/raw-{i:05}')
        lines += [f'url = "{url}"', 'fail', 'silent', 'show-error',
                  'output = "/dev/null"']
        if put:
            lines.append(f'upload-file = "{base / "raw.bin"}"')
        else:
            lines.append(f'range = 0-{OBJECT - 1}')
        if i < count - 1:
            lines.append('next')
    path = base / name
    path.write_text('\n'.join(lines) + '\n')
    return path


def curls(jobs, connections):
    """All configurations at once, one curl each; seconds."""
    def run(config):
        call('curl', '--parallel', '--parallel-immediate',
             '--parallel-max', str(connections), '-K', config)
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        start = time.monotonic()
        list(pool.map(run, jobs))
        return time.monotonic() - start


def raw(lab, paths, total, connections, shm):
    """What parallel curls get, up and down: bytes a second, and the server's
    seconds for a byte. Objects of 16 MiB, so many connections to each way of
    the paths."""
    (shm / 'raw.bin').write_bytes(os.urandom(OBJECT))
    count = max(total // OBJECT // len(paths.ports), connections)
    bucket = [lab.bucket() for _ in paths.ports]
    got = []
    for put in (True, False):
        jobs = [curl_list(shm, f'raw-{i}', port, bucket[i], count, put)
                for i, port in enumerate(paths.ports)]
        size, spent = count * len(jobs) * OBJECT, lab.processor()
        speed = size / curls(jobs, connections)
        got.append((speed, (lab.processor() - spent) / size))
    for b in bucket:
        lab.purge(b)
    pathlib.Path(shm / 'raw.bin').unlink()
    return got
