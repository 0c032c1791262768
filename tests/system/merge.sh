#!/bin/bash
# merge.sh - a file that is overwritten page by page comes to lie in few pieces
# again, and is the same all the while: beside writers, and under kill -9.
. "$(dirname "$0")/lib.sh"

MB=16
PAGES=3000 # that are overwritten: most of each MiB in pieces
loops=${MERGE_LOOPS:-3}

start_test
two_stores 'repack = 60%' 'repack_age = 0ms' 'keep_deleted = 0ms' \
	'merge_rate = 12M' -- 'pack = 4M'

# pages SEED COUNT [FIRST MB]: overwrites pages of $mnt/db, behind those MB if
# they are said, and of its model beside it
pages() {
	python3 - "$dir/model" "$mnt/db" "$1" "$2" "${3-0}" <<-'EOS'
	import os, random, sys
	model, db = (os.open(p, os.O_RDWR) for p in sys.argv[1:3])
	random.seed(int(sys.argv[3]))
	pages, first = os.fstat(model).st_size // 4096, int(sys.argv[5]) << 8
	for i in range(int(sys.argv[4])):
	    data, at = random.randbytes(4096), random.randrange(first, pages) * 4096
	    for fd in (model, db):
	        if os.pwrite(fd, data, at) != 4096:
	            sys.exit(1)
	    if i % 500 == 0:
	        os.fsync(db)
	os.fsync(db)
	EOS
}

extents() { # of a file
	"$pluri" where "$1" --json | python3 -c '
import json, sys
print(len(json.load(sys.stdin)["extents"]))'
}
merged() { # MEMBER
	"$pluri" stats "$ini" --json | python3 -c '
import json, sys
print(json.load(sys.stdin)["merged"][sys.argv[1]])' "$1"
}
few() { [ "$(extents "$1")" -le "$2" ]; }
same() { cmp "$dir/model" "$mnt/db"; }
same_cold() { forget && same; }
times() { stat -c '%s %b %Y %Z %y %z' "$mnt/db"; }

create || bail "cannot create"
mount_it || bail "cannot mount"

# --- SQLite, as it comes ------------------------------------------------------

sql() {
	python3 - "$mnt/app.sqlite" "$1" <<-'EOS'
	import hashlib, random, sqlite3, sys
	db = sqlite3.connect(sys.argv[1], isolation_level=None)
	random.seed(3)
	if sys.argv[2] == "make":
	    db.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)")
	    db.execute("BEGIN")
	    for k in range(4000):
	        db.execute("INSERT INTO t VALUES (?, ?)",
	            (k, random.randbytes(900)))
	    db.execute("COMMIT")
	    for k in range(200):
	        db.execute("UPDATE t SET v = ? WHERE k = ?",
	            (random.randbytes(900), random.randrange(4000)))
	assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
	all = hashlib.sha256()
	for k, v in db.execute("SELECT k, v FROM t ORDER BY k"):
	    all.update(b"%d" % k + v)
	print(all.hexdigest())
	EOS
}
sql make >"$dir/sql.sum" || bail "sqlite"
before=$(extents "$mnt/app.sqlite")
note "sqlite: $before extents"
check "sqlite: many extents" test "$before" -gt 150

# --- random pages -------------------------------------------------------------

head -c ${MB}M /dev/urandom >"$dir/model"
cp "$dir/model" "$mnt/db" && sync "$mnt/db"
pages 1 $PAGES || bail "cannot write"
before=$(extents "$mnt/db")
note "pages: $before extents"
check "pages: many extents" test "$before" -gt $((PAGES / 2))
was=$(times)
# whoever finds it quiet for ten seconds
check "pages: few extents, some time later" wait_for 60 few "$mnt/db" $((MB * 4))
check "pages: the same bytes" same
check "pages: the same times and size" test "$(times)" = "$was"
check "pages: also from the stores" same_cold
check "sqlite: few extents" wait_for 60 few "$mnt/app.sqlite" 60
sql look >"$dir/sql.now"
check "sqlite: the same rows" cmp "$dir/sql.sum" "$dir/sql.now"
check "stats tell" test "$(merged extents_before_total)" -gt \
	$((4 * $(merged extents_after_total)))
note "$(merged ranges_total) ranges, $(merged extents_before_total) extents" \
	"into $(merged extents_after_total)"

# --- kill -9, again and again --------------------------------------------------

# A scan finds pieces at once, since a new mount does not know how old they are:
# copies are made, stored, and take their place, and somewhere there it ends.
over() { [ "$(merged "$1")" -gt 0 ]; }
for ((loop = 1; loop <= loops; loop++)); do
	pages $((10 + loop)) 1500 || fail "write $loop"
	kill_daemon
	unmount_dead
	mount_it || bail "mount $loop"
	wait_for 60 over copied_bytes_total || fail "nothing is merged"
	[ $loop != 1 ] || wait_for 60 over ranges_total ||
		fail "nothing is in its place"
	pages $((50 + loop)) 50 $((MB - 2)) || fail "write beside, $loop"
	sleep 0.$(((loop * 37) % 10))
	note "killed $loop: $(merged ranges_total) ranges merged," \
		"$(merged waiting_copies) waiting"
	kill_daemon
	unmount_dead
	mount_it || bail "mount $loop"
	check "killed $loop: every synced byte is there" same
	check "killed $loop: fsck" fsck_clean
done
check "killed: few extents in the end" wait_for 60 few "$mnt/db" $((MB * 4))
check "killed: the same bytes" same
wait_well 60 || fail "not well"
check "killed: also from the stores" same_cold

# --- off ---------------------------------------------------------------------

umount_it || bail "cannot unmount"
sed -i 's/^merge_rate = .*/merge_rate = 0/' "$ini"
mount_it || bail "cannot mount"
pages 99 1000 || fail "write"
sleep 1
check "off: nothing is merged" test "$(merged copied_bytes_total)" = 0
check "off: the same bytes" same
umount_it || fail "cannot unmount"
done_testing
