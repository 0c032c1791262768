#!/bin/bash
# posix.sh - what programs expect of a filesystem, from mkdir to a database; as
# root, and as an ordinary user for permissions.
. "$(dirname "$0")/lib.sh"

start_test
two_stores 'cache = 1G' -- 'pack = 4M'
check "created" create
root=
[ "$(id -u)" != 0 ] || root=yes
opts=()
[ -z "$root" ] || opts=(-o allow_other)
check "mounted" mount_it "${opts[@]}"
w=$mnt/work
mkdir "$w" && cd "$w" || bail "no directory"

is() { # TEXT WANTED GOT
	[ "$2" = "$3" ] || note "wanted \"$2\", got \"$3\""
	check "$1" test "$2" = "$3"
}
py() { # TEXT PROGRAM: asserts what it likes
	local text=$1
	python3 -c "import os, errno, stat, mmap, time
def fails(e, f, *a, **k):
    try: f(*a, **k)
    except OSError as x: assert x.errno == e, x
    else: raise AssertionError('it succeeded')
$2" >"$dir/py.out" 2>&1 || tail -n 3 "$dir/py.out" | sed 's/^/# /'
	check "$text" test ! -s "$dir/py.out"
}

# --- files ------------------------------------------------------------------

echo one >f && echo two >>f
is "append" $'one\ntwo' "$(cat f)"
printf X | dd of=f bs=1 seek=4 conv=notrunc status=none
is "write in the middle" $'one\nXwo' "$(cat f)"
truncate -s 2 f
is "truncate down" on "$(cat f)"
truncate -s 5 f
is "truncate up shows zeros" '6f 6e 00 00 00' "$(od -An -tx1 f | xargs)"
echo other >g && mv g f
is "rename over" other "$(cat f)"
ln f h && echo more >>h
is "hard link: content" $'other\nmore' "$(cat f)"
is "hard link: count" 2 "$(stat -c %h f)"
rm f
is "hard link: the other stays" 1 "$(stat -c %h h)"
ln -s h s
is "symbolic link" $'other\nmore' "$(cat s)"
is "readlink" h "$(readlink s)"
mkfifo p
(echo through >p) &
is "fifo" through "$(cat p)"
py "errors have their codes" '
os.mkdir("d"); open("d/x", "w").close()
fails(errno.ENOENT, os.stat, "none")
fails(errno.EEXIST, os.mkdir, "d")
fails(errno.ENOTEMPTY, os.rmdir, "d")
fails(errno.ENOTDIR, os.stat, "h/x")
fails(errno.EISDIR, os.unlink, "d")
fails(errno.ENAMETOOLONG, open, "n" * 256, "w")
os.mkdir("e"); open("e/y", "w").close()
fails(errno.ENOTEMPTY, os.rename, "d", "e")
fails(errno.EINVAL, os.rename, "d", "d/z")
fails(errno.ENOTDIR, os.rename, "d", "h")
fails(errno.EISDIR, os.rename, "h", "d")
os.unlink("e/y"); os.rename("d", "e"); assert os.listdir("e") == ["x"]'
py "a listing ends, whatever is renamed and made meanwhile" '
os.mkdir("listing")
for i in range(3000): open("listing/%d" % i, "w").close()
n = 0
for e in os.scandir("listing"):
    os.rename(e.path, "listing/t"); os.rename("listing/t", e.path)
    open(e.path + ".copy", "w").close()
    n += 1; assert n < 7000
names = os.listdir("listing")
assert n >= 3000 and len(names) == len(set(names)) == 3000 + n, (n, len(names))'
py "unlinked while open" '
f = open("u", "w+"); f.write("still"); f.flush(); os.unlink("u")
assert os.fstat(f.fileno()).st_nlink == 0
f.seek(0); assert f.read() == "still"
f.write(" here"); f.flush(); f.seek(0); assert f.read() == "still here"
fails(errno.ENOENT, os.stat, "u")'
py "renamed over while open" '
open("r1", "w").write("old"); f = open("r1")
open("r2", "w").write("new"); os.rename("r2", "r1")
assert f.read() == "old" and open("r1").read() == "new"'
py "modes and times" '
open("m", "w").close()
os.chmod("m", 0o4750); assert stat.S_IMODE(os.stat("m").st_mode) == 0o4750
for ns in (0, 1, -1500000000, 4102444800123456789):
    os.utime("m", ns=(ns, ns + 7))
    s = os.stat("m"); assert (s.st_atime_ns, s.st_mtime_ns) == (ns, ns + 7), s
for s in (9999999999, -9999999999, 1 << 40):
    os.utime("m", (s, s)); assert os.stat("m").st_mtime_ns == s * 10**9
c = os.stat("m").st_ctime_ns; time.sleep(0.02); os.chmod("m", 0o600)
assert os.stat("m").st_ctime_ns > c
t = os.stat(".").st_mtime_ns; time.sleep(0.02); open("m2", "w").close()
assert os.stat(".").st_mtime_ns > t
n = os.stat(".").st_nlink; os.mkdir("md"); assert os.stat(".").st_nlink == n + 1
os.utime("m", ns=(5, 5)); open("m", "a").write("x")
assert os.stat("m").st_mtime_ns > 5'
py "attributes" '
open("x", "w").close()
os.setxattr("x", "user.a", b"1", os.XATTR_CREATE)
fails(errno.EEXIST, os.setxattr, "x", "user.a", b"2", os.XATTR_CREATE)
fails(errno.ENODATA, os.setxattr, "x", "user.b", b"2", os.XATTR_REPLACE)
os.setxattr("x", "user.b", b"v" * 60000); assert len(os.getxattr("x", "user.b")) == 60000
assert sorted(a for a in os.listxattr("x") if not a.startswith("user.pluri.")) == ["user.a", "user.b"]
fails(errno.EOPNOTSUPP, os.setxattr, "x", "odd.name", b"1")
fails(errno.EOPNOTSUPP, os.getxattr, "x", "odd.name")
fails(errno.EINVAL, os.setxattr, "x", "user.", b"1")
os.removexattr("x", "user.a"); fails(errno.ENODATA, os.getxattr, "x", "user.a")
import struct
acl = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, 6, 0xffffffff) for tag in (1, 4, 32))
os.setxattr("x", "system.posix_acl_access", acl)
assert os.stat("x").st_mode & 0o777 == 0o666
fails(errno.ENODATA, os.getxattr, "x", "system.posix_acl_access")
fails(errno.EOPNOTSUPP, os.setxattr, "x", "system.other", b"1")'
py "holes" '
f = os.open("hole", os.O_RDWR | os.O_CREAT)
os.pwrite(f, b"a" * 100000, 0); os.pwrite(f, b"z", 9000000)
assert os.fstat(f).st_size == 9000001
assert os.pread(f, 10, 5000000) == bytes(10)
assert 200000 <= os.lseek(f, 200000, os.SEEK_DATA) <= 9000000
assert 200000 <= os.lseek(f, 200000, os.SEEK_HOLE) <= 9000001
assert os.lseek(f, 8999999, os.SEEK_DATA) <= 9000000
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
assert libc.fallocate(f, 3, 1000, 2000) == 0
assert os.pread(f, 4000, 0) == b"a" * 1000 + bytes(2000) + b"a" * 1000
assert os.fstat(f).st_size == 9000001
assert libc.fallocate(f, 0, 0, 9100000) == 0
assert os.fstat(f).st_size == 9100000 and os.pread(f, 1, 9000000) == b"z"'
py "memory maps" '
f = os.open("map", os.O_RDWR | os.O_CREAT); os.ftruncate(f, 300000)
m = mmap.mmap(f, 300000); m[1000:1005] = b"hello"; m[299999:] = b"!"; m.flush()
assert os.pread(f, 5, 1000) == b"hello" and os.pread(f, 1, 299999) == b"!"
os.pwrite(f, b"HELLO", 1000); assert m[1000:1005] == b"HELLO"
m.close(); os.close(f)'

for i in 1 2; do
	(for ((n = 0; n < 300; n++)); do echo "$i$i$i$i$i" >>app; done) &
done
wait
is "O_APPEND from two processes" "300 11111 300 22222" \
	"$(sort app | uniq -c | xargs)"

py "5,000 names" '
os.mkdir("many")
for i in range(5000): os.close(os.open("many/name%05d" % i, os.O_CREAT | os.O_WRONLY))
l = os.listdir("many"); assert len(l) == 5000 and len(set(l)) == 5000
for n in os.scandir("many"): os.unlink(n.path) if n.name.endswith("7") else None
assert len(os.listdir("many")) == 4500'
py "statfs" '
s = os.statvfs("."); assert s.f_namemax == 255 and s.f_bsize > 0 and s.f_blocks >= s.f_bfree'
py "locks" '
import fcntl
f = open("lock", "w"); fcntl.flock(f, fcntl.LOCK_EX)
g = open("lock", "w")
fails(errno.EAGAIN, fcntl.flock, g, fcntl.LOCK_EX | fcntl.LOCK_NB)'

# --- permissions ------------------------------------------------------------

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
if [ -n "$root" ] && command -v setpriv >/dev/null &&
	as_nobody ls "$w" >/dev/null 2>&1; then
	echo secret >mine && chmod 600 mine
	mkdir closed && chmod 700 closed && touch closed/x
	mkdir tmp && chmod 1777 tmp && touch tmp/root
	check "nobody reads what is closed" \
		eval '! as_nobody cat mine 2>/dev/null'
	check "nobody enters" eval '! as_nobody ls closed/x 2>/dev/null'
	check "nobody writes in a directory of another" \
		eval '! as_nobody touch new 2>/dev/null'
	check "nobody writes where all may" as_nobody touch tmp/his
	is "and owns it" 65534:65534 "$(stat -c %u:%g tmp/his)"
	check "the sticky bit protects" \
		eval '! as_nobody rm -f tmp/root 2>/dev/null'
	check "nobody may not give away" \
		eval '! as_nobody chown 0 tmp/his 2>/dev/null'
	chown 65534:65534 mine && chmod 4755 mine
	is "chown" 65534 "$(stat -c %u mine)"
	as_nobody sh -c 'echo x >>mine'
	is "a write takes the set-user-id bit" 755 "$(stat -c %a mine)"
	mkdir sg && chgrp 65534 sg && chmod 2775 sg && touch sg/f && mkdir sg/d
	is "set-group-id is inherited" "65534 65534 2755" \
		"$(stat -c %g sg/f) $(stat -c '%g %a' sg/d)"
	mknod null c 1 3
	is "a device" "1 3" "$(stat -c '%t %T' null)"
else
	note "not root: permissions of others are left out"
fi

# --- programs ---------------------------------------------------------------

mkdir "$dir/orig"
cp -a "$src/." "$dir/orig/"
head -c 5M /dev/urandom >"$dir/orig/random"
ln "$dir/orig/random" "$dir/orig/linked"
sum_tree "$dir/orig" "$dir/orig.sum"
cp -a "$dir/orig" cp
check "cp -a" same_tree "$dir/orig.sum" "$w/cp"
mkdir tar && tar --format=pax -C "$dir/orig" -cf - . | tar -C tar -xpf -
check "tar" same_tree "$dir/orig.sum" "$w/tar"
if command -v rsync >/dev/null; then
	rsync -aHX "$dir/orig/" rsync/
	check "rsync" same_tree "$dir/orig.sum" "$w/rsync"
	is "rsync again has nothing to do" "" \
		"$(rsync -aHXni "$dir/orig/" rsync/)"
fi
if command -v git >/dev/null; then
	git_as() { git -c user.name=t -c user.email=t@localhost \
		-c init.defaultBranch=main "$@" >"$dir/git.out" 2>&1 ||
		{ sed 's/^/# /' "$dir/git.out"; return 1; }; }
	mkdir "$dir/repo"
	check "git: a repository" eval 'cd "$dir/repo" && git_as init &&
		cp -a "$src/system" . && git_as add -A && git_as commit -m one'
	cd "$w"
	check "git clone" git_as clone "$dir/repo" clone
	check "git work" eval 'cd clone && echo x >>system/lib.sh &&
		git_as commit -am two && git_as gc && git_as fsck --full'
	cd "$w"
fi
py "SQLite with a write-ahead log" '
import sqlite3
c = sqlite3.connect("db"); assert c.execute("PRAGMA journal_mode=wal").fetchone()[0] == "wal"
c.execute("create table t(a integer primary key, b blob)")
for i in range(300):
    with c: c.execute("insert into t(b) values(randomblob(3000))")
c.execute("pragma wal_checkpoint(truncate)")
assert c.execute("pragma integrity_check").fetchone()[0] == "ok"
c.close()'

# --- and all of it after a remount ------------------------------------------

cd "$dir"
remount="cd / && '$pluri' umount '$mnt' >/dev/null 2>&1 &&
	'$pluri' mount '$ini' '$mnt' ${opts[*]}"
sum_tree "$w" "$dir/work.sum"
check "remounted" sh -c "$remount"
check "the same after a remount" same_tree "$dir/work.sum" "$w"
check "local copies dropped" eval 'wait_well 60 && forget'
check "the same from the clouds" same_tree "$dir/work.sum" "$w"
is "the database too" ok "$(python3 -c '
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("pragma integrity_check").fetchone()[0])' "$w/db")"

check "all well at last" wait_well 60
check "unmounted" umount_it
done_testing
