#!/bin/bash
# powercut.sh - few synced bytes lie in the database's log, not yet in the
# pack's file. After kill -9 that file gets back an older content, as a disk
# leaves it that lost power: what fsync has answered for is read back from the
# log.
. "$(dirname "$0")/lib.sh"

start_test
volume_ini
for s in a b; do
	mkdir "$dir/$s"
	store_ini $s local "$dir/$s"
done
policy_ini 'layout = mirror:2' 'pack_age = 1h'
create || bail "create"
check "mounted" mount_it

cat >"$dir/write.py" <<'EOS'
import os, random, sys
d, first, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for i in range(first, first + n):
    r = random.Random(i)
    for name, at in (("f%d" % i, 0), ("log", i * 3000), ("same", 0)):
        fd = os.open(os.path.join(d, name), os.O_RDWR | os.O_CREAT, 0o644)
        os.pwrite(fd, r.randbytes(r.randrange(1, 5000)), at)
        os.fsync(fd)
        os.close(fd)
EOS
synced() { python3 "$dir/write.py" "$mnt" "$1" "$2" &&
	mkdir -p "$dir/ref" && python3 "$dir/write.py" "$dir/ref" "$1" "$2"; }
open_packs() { find "$state/packs" -maxdepth 1 -name '*.pack' | sort; }

# A volume that does not open is checked as it lies there.
short_is_lawful() {
	mkdir "$dir/db" && cp "$state"/volume.db* "$dir/db" &&
		sqlite3 "$state/volume.db" \
			"UPDATE counter SET value = -5 WHERE id = 4" || return 1
	fsck_codes >"$dir/codes"
	rm "$state"/volume.db* && mv "$dir"/db/* "$state" || return 1
	grep -q counter "$dir/codes" && ! grep -q pack-file "$dir/codes"
}

# cut HOW: kill, and the file as it was when it was kept
cut() {
	local f
	kill_daemon
	unmount_dead
	for f in "$dir"/kept/*.pack; do
		[ "$1" = old ] || truncate -s "$(stat -c %s \
			"$state/packs/${f##*/}")" "$f"
		cp "$f" "$state/packs/${f##*/}" || return 1
	done
	[ "$1" = old ] && check "$1: no file is called too short" short_is_lawful
	check "$1: fsck before the mount" fsck_clean
	mount_it
}
n=0
for how in old zeros; do
	check "$how: a first part" synced $n 5
	check "$how: one open pack" test "$(open_packs | wc -l)" -ge 1
	rm -rf "$dir/kept" && mkdir "$dir/kept"
	cp $(open_packs) "$dir/kept"
	check "$how: more is synced" synced $((n + 5)) 20
	check "$how: only the log has it for sure" eval '
		for f in "$dir"/kept/*.pack; do
			cmp -s "$f" "$state/packs/${f##*/}" || grew=yes
		done; [ -n "${grew-}" ]'
	check "$how: mounted after the cut" cut $how
	check "$how: all that was synced is there" diff -r "$dir/ref" "$mnt"
	n=$((n + 25))
done
check "all is in the clouds at last" eval '"$pluri" sync "$mnt" >/dev/null 2>&1 &&
	wait_well 60 && forget'
check "from the clouds, too" diff -r "$dir/ref" "$mnt"
check "unmounted" umount_it
done_testing
