#!/bin/bash
# fsck.sh - the check of a volume: nothing is found in a sound one, mounted or
# not, also while programs do their worst to it; what is damaged is found, told
# and mended, and the rest stays as it is.
. "$(dirname "$0")/lib.sh"

start_test
two_stores -- 'pack = 1M'
check "created" create
check "an empty volume is sound" fsck_clean
check "mounted" mount_it

make_files() {
	local i
	mkdir -p "$mnt/tree/deep/er" "$mnt/ring/one/two" "$mnt/away/in" || return
	for i in 1 2 3 4 5 6 7 8; do
		head -c $((i * 150000)) /dev/urandom >"$mnt/tree/f$i" || return
	done
	cp "$mnt/tree/f3" "$mnt/tree/deep/again"
	ln "$mnt/tree/f4" "$mnt/tree/deep/er/hard"
	ln -s ../f1 "$mnt/tree/deep/link"
	: >"$mnt/tree/empty"
	truncate -s 3M "$mnt/tree/sparse"
	echo precious >"$mnt/away/in/note"
	head -c 500000 /dev/urandom >"$mnt/short" || return
	for i in $(seq 300); do echo $i >"$mnt/ring/one/$i"; done
	sync "$mnt"
}
check "files made" make_files
check "sound while mounted" fsck_clean

# --- others at work ----------------------------------------------------------

worker() { # NUMBER: until told to stop
	local d=$mnt/work n=0 i
	mkdir -p $d/a $d/b $d/c
	while [ ! -e "$dir/enough" ]; do
		n=$((n + 1))
		for i in 1 2 3 4 5; do
			head -c $((RANDOM * 3)) /dev/urandom >$d/a/$1.$i
			ln -f $d/a/$1.$i $d/b/$1.$i.$((n % 7))
		done
		mkdir -p $d/a/dir$1.$((n % 5))/sub
		mv -T $d/a/dir$1.$((n % 5)) $d/c/dir$1.$n
		mv -f $d/a/$1.1 $d/c/$1.$((n % 9))
		cp --reflink=auto $d/a/$1.2 $d/b/$1.copy
		truncate -s $((RANDOM % 2000)) $d/a/$1.3
		rm -rf $d/c/dir$1.$n $d/b/$1.*.$((n % 3))
	done
} 2>/dev/null

under_load() {
	local i n=0 pids=()
	for i in 1 2 3; do worker $i & pids+=($!); done
	for i in 1 2 3 4 5 6; do
		fsck_clean || break
		n=$i
	done
	: >"$dir/enough"
	wait "${pids[@]}"
	[ $n = 6 ]
}
check "nothing false is found under load" under_load
fsck_codes >/dev/null
note "rows, busy: $(python3 -c '
import json, sys
o = json.load(open(sys.argv[1]))
print(o["rows"], o["busy"])' "$dir/fsck.json")"
check "sound afterwards" fsck_clean
"$pluri" fsck "$ini" --repair >"$dir/out" 2>&1
check "no repair while mounted: exit status 1" test $? = 1
check "... and the story says why" grep -q "unmount it" "$dir/out"
check "nothing to stop" sh -c '"$0" fsck "$1" --stop | grep -q nothing' \
	"$pluri" "$ini"
check "unmounted" umount_it
check "sound when not mounted" fsck_clean

# --- planted damage ----------------------------------------------------------

sql() { python3 -c '
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.executescript(sys.argv[2])
c.commit()
if len(sys.argv) > 3:
    print(c.execute(sys.argv[3]).fetchone()[0])
c.close()' "$state/volume.db" "$@"; }

# So that its directory stays sound but for the one damage.
check "mounted" mount_it
sum_tree "$mnt/tree" "$dir/tree.sum"
ino() { stat -c %i "$mnt/$1"; }
f2=$(ino tree/f2) f5=$(ino tree/f5) f7=$(ino tree/f7) tree=$(ino tree)
ring=$(ino ring) one=$(ino ring/one) two=$(ino ring/one/two)
away=$(ino away) in=$(ino away/in) empty=$(ino tree/empty) short=$(ino short)
check "unmounted" umount_it
sql "UPDATE inode SET nlink = 7 WHERE ino = $f2;
UPDATE inode SET bytes = 1 WHERE ino = $f5;
UPDATE inode SET nlink = 9 WHERE ino = $tree;
UPDATE dentry SET type = 16384 WHERE ino = $f7;
DELETE FROM dentry WHERE ino = $in;
INSERT INTO orphan VALUES ($empty);
UPDATE inode SET size = 1000 WHERE ino = $short;
INSERT INTO dentry VALUES ($away, X'6e6f6e65', 999999999, 32768, 3);
UPDATE dentry SET parent = $two, cookie = 1 WHERE ino = $one;
UPDATE inode SET parent = $two WHERE ino = $one;
INSERT INTO xattr VALUES (999999999, X'61', X'');
UPDATE chunk SET refs = refs + 1
	WHERE num = (SELECT chunk FROM extent WHERE ino = $f5 LIMIT 1);
UPDATE counter SET value = value + 5 WHERE id IN (6, 7);
UPDATE counter SET value = 1 WHERE id = 0"
fsck_codes | sort | uniq -c | awk '{ print $2 "*" $1 }' >"$dir/codes"
cat >"$dir/want" <<-'EOS'
	chunk-refs*1
	counter-low*1
	dentry-dangling*1
	directory-ring*1
	extent-past-end*1
	dentry-type*1
	inode-bytes*1
	inode-unnamed*1
	nlink-wrong*5
	orphan-named*1
	total-wrong*2
	xattr-no-inode*1
EOS
sort -o "$dir/want" "$dir/want"
sort -o "$dir/codes" "$dir/codes"
check "each damage is found" diff "$dir/want" "$dir/codes"
"$pluri" fsck "$ini" >"$dir/out" 2>&1
check "findings are left: exit status 2" test $? = 2
check "paths are told" grep -q "dentry-type: /tree/f7 " "$dir/out"
"$pluri" fsck "$ini" --repair >"$dir/out" 2>&1
check "repaired: exit status 0" test $? = 0
grep -v '^ ' "$dir/out" | tail -n 3 | sed 's/^/# /'
check "sound afterwards" fsck_clean
check "mounted" mount_it
check "what was not damaged is as it was" same_tree "$dir/tree.sum" "$mnt/tree"
check "a directory without a name is found again" \
	grep -q precious "$mnt/lost+found/#$in/note"
ring_there() { [ "$(find "$mnt/lost+found" -name '[0-9]*' | wc -l)" = 300 ]; }
check "the ring is opened, and all of it there" ring_there
check "names of nothing are gone" test ! -e "$mnt/away/none"
check "what lay behind an end is not shown when the file grows" sh -c '
	truncate -s 500000 "$0" && [ "$(tail -c +1001 "$0" | tr -d "\\0" | wc -c)" = 0 ]
	' "$mnt/short"
check "new files get new numbers" sh -c 'echo new >"$0/new" &&
	[ "$(stat -c %i "$0/new")" -gt '"$in"' ]' "$mnt"
check "unmounted" umount_it

# --- rows that keep a volume from opening ------------------------------------

rows() { # CODES SQL: found and mended without the volume being opened
	sql "$2"
	! "$pluri" jobs "$ini" >"$dir/out" 2>&1 || echo "it opened" >>"$dir/bad"
	fsck_codes | sort -u | xargs >"$dir/codes"
	[ "$(cat "$dir/codes")" = "$1" ] ||
		{ note "wanted $1, found $(cat "$dir/codes")"; return 1; }
	"$pluri" fsck "$ini" >"$dir/out" 2>"$dir/err"
	[ $? = 2 ] && grep -q "does not open" "$dir/err" || return 1
	"$pluri" fsck "$ini" --repair >"$dir/out" 2>&1 &&
		"$pluri" jobs "$ini" >"$dir/out" 2>&1 && fsck_clean
}
job="INSERT INTO job VALUES (90, 0, 4294967295, 1, 0, 0, 0, 0, 0, 0, '');
	UPDATE counter SET value = 90 WHERE id IN (4, 5);"
move="INSERT INTO move SELECT 90, 90, pack, idx, store, 1 - store"
check "a job" rows job-absurd "$job UPDATE job SET kind = 5"
check "the text of a job" rows job-absurd \
	"UPDATE job SET text = hex(zeroblob(2000))"
check "a move" rows move-step "$move, -1 FROM shard LIMIT 1"
check "a move of no shard" rows move-no-shard "DELETE FROM move;
	$move, 1 FROM shard LIMIT 1; UPDATE move SET idx = 99"
check "a move to no store" rows move-no-store "DELETE FROM move;
	$move, 1 FROM shard LIMIT 1; UPDATE move SET to_store = 64"
check "the number of a policy" rows \
	"inode-policy pack-policy policy-missing policy-number" \
	"UPDATE policy SET num = 700"
check "the text of a policy" rows policy-text \
	"UPDATE policy SET text = 'layout = rubbish'"
check "a policy" rows policy-absurd "UPDATE policy SET
	name = '/', text = hex(zeroblob(5000))"
check "the text of a store" rows store-text \
	"UPDATE store SET text = 'x' WHERE num = 1"
check "a store" rows store-absurd \
	"UPDATE store SET weight = -1, state = 9, id = X'' WHERE num = 0"
check "a counter" rows "counter-low counter-missing" \
	"UPDATE counter SET value = -8 WHERE id = 2"
check "none of these rows is passed over" test ! -e "$dir/bad"
ini_kept=$dir/vol.kept
cp "$ini" "$ini_kept"
sql "UPDATE policy SET text = ''"
sed -i 's/^name = .*/name = other/' "$ini"
"$pluri" fsck "$ini" --repair >"$dir/out" 2>&1
check "another volume's INI mends nothing: exit status 1" test $? = 1
cp "$ini_kept" "$ini"
check "its own does" rows policy-text "SELECT 1"
cp "$state/volume.db" "$dir/db"
sql "UPDATE extent SET skip = -1 WHERE ino = $f5;
UPDATE inode SET nlink = 0 WHERE ino = $f5;
DELETE FROM dentry WHERE ino = $f5;
INSERT INTO orphan VALUES ($f5)"
"$pluri" jobs "$ini" >"$dir/out" 2>&1
check "it opens with a deleted file that cannot be removed" test $? = 0
mv "$dir/db" "$state/volume.db"
sql "UPDATE pack SET state = 7, k = 0, local = 9
	WHERE num = (SELECT min(num) FROM pack);
INSERT INTO shard VALUES (9999, 0, 0, 0)"
"$pluri" jobs "$ini" >"$dir/out" 2>&1
check "it opens with a damaged pack, and a shard of none" test $? = 0
check "... and says what to do" grep -q "run pluri fsck" "$dir/out"
"$pluri" fsck "$ini" --repair >"$dir/out" 2>&1
check "it is mended" test $? = 0
check "sound afterwards" fsck_clean
check "mounted" mount_it
check "all is as it was" same_tree "$dir/tree.sum" "$mnt/tree"
check "unmounted" umount_it

# --- bytes that are lost -----------------------------------------------------

sql "UPDATE extent SET chunk = 99999999 WHERE ino = $f5 AND off = 0"
"$pluri" fsck "$ini" --repair --json >"$dir/fsck.json" 2>"$dir/fsck.err"
check "lost bytes: exit status 2" test $? = 2
told() { python3 -c '
import json, sys
o = json.load(open(sys.argv[1]))
l = [f for f in o["findings"] if f["state"] == "left"]
assert o["left"] == 1 and len(l) == 1, l
assert l[0]["code"] == "extent-chunk-missing" and l[0]["grave"]
assert l[0]["path"] == "/tree/f5" and l[0]["chunk"] == 99999999
' "$dir/fsck.json"; }
check "they are told, with the path" told
check "mounted" mount_it
"$pluri" cache clear "$ini" >/dev/null 2>&1
check "reading them fails" sh -c '! cat "$0" >/dev/null 2>&1' "$mnt/tree/f5"
check "written anew" sh -c 'head -c 750000 /dev/zero >"$0"' "$mnt/tree/f5"
check "sound again" fsck_clean

# --- local packs -------------------------------------------------------------

mv "$dir/a" "$dir/a.away" && mv "$dir/b" "$dir/b.away"
head -c 700000 /dev/urandom >"$mnt/only"
sync "$mnt/only"
pack_there() { ls "$state"/packs/*.pack >/dev/null 2>&1; }
check "a local pack" wait_for 60 pack_there
for p in "$state"/packs/*.pack; do
	mv "$p" "$dir/"
done
: >"$state/packs/00112233445566778899aabbccddeeff.pack"
fsck_codes | sort -u >"$dir/codes"
printf 'pack-file-missing\npack-file-unknown\n' >"$dir/want"
check "files that are gone, or nobody's, are found" diff "$dir/want" "$dir/codes"
for p in "$dir"/*.pack; do mv "$p" "$state/packs/"; done
rm "$state/packs/00112233445566778899aabbccddeeff.pack"
mv "$dir/a.away" "$dir/a" && mv "$dir/b.away" "$dir/b"
check "status 0, no debt" wait_well 60
check "unmounted" umount_it
done_testing
