#!/bin/bash
# huge.sh - files of very many extents: cut short and removed at once, the rest
# in the background, through kill -9, with all counts exact afterwards; copies
# by reference while every store is away; holes.
#
#   PIECES=200000   extents of the huge files
. "$(dirname "$0")/lib.sh"

pieces=${PIECES:-200000}

start_test
note "PIECES=$pieces"
two_stores 'timeout = 2s' -- 'pack = 4M'
create || bail "create"
mount_it || bail "mount"

# --- tools ------------------------------------------------------------------

# What is byte by byte in the sparse file: piece i of 4 KiB lies at i * 8 KiB.
cat >"$dir/huge.py" <<'END'
import hashlib, os, sys, time

def piece(i):
    return hashlib.shake_128(b"%d" % (i % 256)).digest(4096)

def make(path, n):
    with open(path + ".pieces", "wb") as f:
        f.write(b"".join(piece(i) for i in range(256)))
    src = os.open(path + ".pieces", os.O_RDONLY)
    dst = os.open(path, os.O_RDWR | os.O_CREAT)
    os.fsync(src)
    for i in range(256):
        assert os.copy_file_range(src, dst, 4096, i * 4096, i * 8192) == 4096
    os.ftruncate(dst, 256 * 8192)
    done = 256
    while done < n: # doubled, and doubled
        todo = min(done, n - done) * 8192
        at = 0
        while at < todo:
            at += os.copy_file_range(dst, dst, todo - at, at,
                done * 8192 + at)
        done += todo // 8192
    os.fsync(dst)

def check(path, n):
    """n pieces with holes between, and zeros to the end."""
    with open(path, "rb") as f:
        for i in range(n):
            assert f.read(8192).ljust(8192, b"\0") == \
                piece(i) + bytes(4096), i
        while True:
            b = f.read(1 << 20)
            if not b: break
            assert not b.strip(b"\0"), "a byte is back"

def timed(call, *args):
    """In ms; then it is made durable, so that a kill finds it done."""
    dir = os.open(os.path.dirname(args[0]), os.O_RDONLY)
    t = time.monotonic()
    getattr(os, call)(*args)
    print("%d" % ((time.monotonic() - t) * 1000))
    os.fsync(dir)

def others(dir, seconds):
    """How long other work takes meanwhile: median and worst, in ms."""
    end = time.monotonic() + seconds
    took = []
    n = 0
    while time.monotonic() < end:
        t = time.monotonic()
        os.close(os.open("%s/n%d" % (dir, n), os.O_CREAT | os.O_WRONLY))
        took.append((time.monotonic() - t) * 1000)
        n += 1
        time.sleep(0.002)
    took.sort()
    print("%.1f %.1f %.1f" % (took[len(took) // 2],
        took[len(took) * 99 // 100], took[-1]))

def holes(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 1 << 30)
    os.pwrite(fd, b"x" * 5000, 123456789)
    for synced in (0, 1):
        if synced: os.fsync(fd)
        # the kernel's cache writes whole pages
        assert 123456789 - 4096 < os.lseek(fd, 0, os.SEEK_DATA) <= 123456789
        assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
        assert 0 <= os.lseek(fd, 123456790, os.SEEK_HOLE) - 123461789 < 4096
        for whence in (os.SEEK_DATA, os.SEEK_HOLE):
            try:
                os.lseek(fd, 1 << 30, whence)
                assert 0
            except OSError as e:
                assert e.errno == 6
        assert os.pread(fd, 5002, 123456788) == b"\0" + b"x" * 5000 + b"\0"

def clone(a, b):
    src = os.open(a, os.O_RDONLY)
    dst = os.open(b, os.O_RDWR | os.O_CREAT)
    left = os.fstat(src).st_size
    t = time.monotonic()
    while left:
        left -= os.copy_file_range(src, dst, left)
    print("%d" % ((time.monotonic() - t) * 1000))

def pending(path):
    """Did the daemon die while there was something to remove?"""
    import shutil, sqlite3
    for end in "", "-wal":
        if os.path.exists(path + end):
            shutil.copy(path + end, path + ".seen" + end)
    c = sqlite3.connect(path + ".seen")
    assert c.execute("select (select count(*) from trim) + (select count(*)"
        " from orphan)").fetchone()[0] > 0
    c.close()

def audit(path):
    """All counts of a database that nobody has open."""
    import sqlite3
    c = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
    ask = lambda q: c.execute(q).fetchall()
    assert ask("select count(*) from trim") == [(0,)], "trims are left"
    assert ask("select value from counter where id = 8") == [(0,)]
    assert not ask("select count(*) from orphan")[0][0], "orphans are left"
    assert not ask("""select i.ino from inode i where i.bytes <> (select
        coalesce(sum(e.len), 0) from extent e where e.ino = i.ino)"""), "bytes"
    assert not ask("""select num from chunk left join (select chunk, count(*) n
        from extent group by chunk) on chunk = num
        where refs <> coalesce(n, 0)"""), "references"
    assert not ask("""select e.ino from extent e left join inode i
        on i.ino = e.ino where i.ino is null"""), "extents of nobody"

if __name__ == "__main__":
    verb, args = sys.argv[1], sys.argv[2:]
    args = [int(a) if a.isdigit() else a for a in args]
    globals()[verb](*args)
END
huge() { python3 "$dir/huge.py" "$@"; }

blocks_are() { # FILE LEAST MOST: the kernel keeps what it was told before
	local n
	forget_kernel
	n=$(stat -c %b "$1")
	[ "$n" -ge "$2" ] && [ "$n" -le "$3" ] || { sleep 1; return 1; }
}

dies() { kill_daemon; unmount_dead; }
audit() { umount_it && huge audit "$state/volume.db" && mount_it; }
quick() { # TEXT LIMIT MILLISECONDS
	note "$1: $3 ms"
	check "$1 returns at once" test "$3" -lt "$2"
}

# --- cut --------------------------------------------------------------------

check "made a file of $pieces extents" huge make "$mnt/h" "$pieces"
check "another" \
	eval 'huge clone "$mnt/h" "$mnt/k" >"$dir/clone.out"'
note "$pieces extents copied by reference within $(<"$dir/clone.out") ms"
check "all well" wait_well 60
mkdir "$mnt/others"
# What they take on this machine, as loaded as it is, and what they take then.
before=$(huge others "$mnt/others" 3)
huge others "$mnt/others" 5 >"$dir/others.out" &
children=($!)
ms=$(huge timed truncate "$mnt/h" 80000)
quick "truncate" 50 "$ms"
check "it has no bytes behind" huge check "$mnt/h" 10
ms=$(huge timed truncate "$mnt/h" 1638400000)
quick "growing again" 50 "$ms"
check "nothing comes back" huge check "$mnt/h" 10
printf end | dd of="$mnt/h" bs=1 seek=1000000000 conv=notrunc,fsync status=none
check "written where it was" \
	test "$(dd if="$mnt/h" bs=1 skip=1000000000 count=3 status=none)" = end
wait ${children[0]}
children=()
note "other work before: median, 99 of 100, worst: $before ms"
note "and meanwhile: $(<"$dir/others.out") ms"
check "others are not held up" awk -v before="$before" '{
	split(before, b, " ")
	exit !($2 < 20 || $2 < 3 * b[2]) }' "$dir/others.out"
# a page of the kernel's, or the three bytes
check "blocks are counted" wait_for 60 blocks_are "$mnt/h" 81 88
check "all counts are exact" audit

# --- cut and killed ---------------------------------------------------------

ms=$(huge timed truncate "$mnt/k" 80000)
dies
quick "truncate" 50 "$ms"
check "killed in the middle" huge pending "$state/volume.db"
start=$(now_ms)
check "mounted after a kill" mount_it
note "mounted within $(($(now_ms) - start)) ms"
check "it has no bytes behind" huge check "$mnt/k" 10
check "blocks are counted" wait_for 60 blocks_are "$mnt/k" 80 80
truncate -s 1G "$mnt/k"
check "nothing comes back" huge check "$mnt/k" 10
check "all counts are exact" audit

# --- removed, and killed ----------------------------------------------------

check "made a file of $pieces extents" huge make "$mnt/r" "$pieces"
check "another" eval 'huge clone "$mnt/r" "$mnt/s" >"$dir/clone.out"'
ms=$(huge timed unlink "$mnt/r")
quick "unlink" 50 "$ms"
ms=$(huge timed unlink "$mnt/s")
dies
quick "unlink" 50 "$ms"
check "killed in the middle" huge pending "$state/volume.db"
start=$(now_ms)
check "mounted after a kill" mount_it
ms=$(($(now_ms) - start))
note "mounted within $ms ms"
nothing_left() { # each try is an unmount, which the reaper must not hold up
	umount_it || return 1
	huge audit "$state/volume.db" 2>/dev/null
	local status=$?
	mount_it && [ $status = 0 ] || { sleep 3; return 1; }
}
check "all counts are exact" wait_for 60 nothing_left

# --- copies -----------------------------------------------------------------

head -c 64M /dev/urandom >"$mnt/big"
for i in 1 2 3 4; do cat "$mnt/big" "$mnt/big" >"$mnt/big2" &&
	mv "$mnt/big2" "$mnt/big"; done
check "all is in the clouds" eval '"$pluri" sync "$mnt" >"$dir/out"'
mv "$dir/b" "$dir/b.away"
echo late >"$mnt/late"
check "nor is a store waited for that is away" eval \
	'"$pluri" sync "$mnt" 2>"$dir/out" >"$dir/out2"'
check "... but named" grep -q "down.* b$" "$dir/out"
mv "$dir/b.away" "$dir/b"
check "it gets the rest" wait_well 60
check "no local copies" forget
mv "$dir/a" "$dir/a.away"
mv "$dir/b" "$dir/b.away"
check "a copy without any store" \
	eval 'huge clone "$mnt/big" "$mnt/copy" >"$dir/clone.out"'
note "1 GiB copied by reference within $(<"$dir/clone.out") ms"
check "nothing is to be sent" test "$(status_get pending_bytes)" = 0
mv "$dir/a.away" "$dir/a"
mv "$dir/b.away" "$dir/b"
check "all well" wait_well 60
check "the copy is equal" cmp "$mnt/big" "$mnt/copy"
check "a part over itself" python3 -c '
import os, sys
f = os.open(sys.argv[1], os.O_RDWR)
was = os.pread(f, 3000000, 1234567)
assert os.copy_file_range(f, f, 3000000, 1234567, 77777777) == 3000000
assert os.pread(f, 3000000, 77777777) == was
assert os.pread(f, 10, 1234567) == was[:10]
os.fsync(f)' "$mnt/copy"
# With the kernel's write cache only the kernel knows what was just written.
for i in 1 2 3 4 5; do
	rm -f "$mnt/fresh"
	truncate -s 100M "$mnt/fresh"
	printf fresh | dd of="$mnt/fresh" bs=1 seek=50M conv=notrunc status=none
	cp --sparse=auto "$mnt/fresh" "$dir/fresh"
	check "a fresh file is copied whole, $i" cmp "$mnt/fresh" "$dir/fresh"
done
check "mounted without write cache" \
	eval 'umount_it && mount_it -o nowriteback'
check "holes, before and after fsync" huge holes "$mnt/sparse"
cp --sparse=auto "$mnt/sparse" "$mnt/sparse2"
check "cp keeps holes" test "$(stat -c %b "$mnt/sparse2")" -le 64
check "and bytes" cmp "$mnt/sparse" "$mnt/sparse2"
check "all counts are exact" audit
check "unmounted" umount_it
done_testing
