"""posix_requests.py - which requests the kernel sends for a piece of work.

By the kernel's own trace of FUSE, in a trace instance of our own. Forgets are
not traced.
"""
import collections
import contextlib
import os
import pathlib
import re

TRACING = pathlib.Path('/sys/kernel/tracing')
SENT = re.compile(r'opcode \d+ \(FUSE_(\w+)\)')


class Requests:
    def __init__(self):
        self.room = TRACING / 'instances' / f'pluri-bench-{os.getpid()}'
        self.room.mkdir()
        (self.room / 'buffer_size_kb').write_text('65536')
        self.event = self.room / 'events' / 'fuse' / 'fuse_request_send'

    def start(self, mount):
        (self.event / 'enable').write_text('0')
        (self.room / 'trace').write_text('')
        device = os.stat(mount).st_dev
        (self.event / 'filter').write_text(f'connection == {device}')
        (self.event / 'enable').write_text('1')

    def stop(self):
        (self.event / 'enable').write_text('0')
        with open(self.room / 'trace', encoding='ascii') as lines:
            return collections.Counter(
                m[1] for m in map(SENT.search, lines) if m)

    def close(self):
        with contextlib.suppress(OSError):
            (self.event / 'enable').write_text('0')
            self.room.rmdir()


def story(counts, per):
    """Sorted by number; those below one in a hundred calls are left out."""
    return ' '.join(f'{op} {n / per:.2f}' if per > 1 else f'{op} {n}'
                    for op, n in counts.most_common() if n / per >= 0.01)
