#!/bin/bash
# repack.sh - what is overwritten and deleted leaves the stores, and only that:
# under kill -9, and while a store is away.
. "$(dirname "$0")/lib.sh"
start_test

loops=${REPACK_LOOPS:-5}

volume_ini 'timeout = 1s' 'repack = 60%' 'repack_age = 0ms' \
	'repack_rate = 256M' 'keep_deleted = 0ms'
for s in a b c; do
	mkdir -p "$dir/$s"
	store_ini $s local "$dir/$s"
done
policy_ini 'layout = mirror:2' 'pack_age = 500ms' 'pack = 1M'

# files FROM TO: of noise, 40 KiB each, all below $mnt/t
files() {
	local i
	for ((i = $1; i <= $2; i++)); do
		head -c 40960 /dev/urandom >"$mnt/t/$i" || return 1
	done
}
drop() { # FIRST STEP LAST
	seq "$1" "$2" "$3" | sed "s|^|$mnt/t/|" | xargs rm -f
}
# New bytes in the middle of what is there.
patch() { # FIRST STEP LAST
	local i
	for i in $(seq "$1" "$2" "$3"); do
		[ -e "$mnt/t/$i" ] || continue
		head -c 16384 /dev/urandom | dd of="$mnt/t/$i" bs=4096 seek=2 \
			conv=notrunc status=none || return 1
	done
}
settled() { find "$mnt/t" -type f -exec sync {} + && sync "$mnt/t"; }

stored() { # bytes of objects in all stores
	find "$dir/a" "$dir/b" "$dir/c" -type f ! -name pluri-volume \
		! -path "*/.tmp~/*" -printf '%s\n' | awk '{ n += $1 }
		END { print n + 0 }'
}
live() { # bytes of files, in two copies
	find "$mnt/t" -type f -printf '%s\n' | awk '{ n += $1 }
		END { print 2 * n }'
}
# No more than the limit allows: live bytes are 60 % of each pack, some packs
# are young, small or half full.
lean() { [ "$(stored)" -le $(($(live) * 10 / 6 + 3000000)) ]; }
# Each object has a shard row and each shard row an object.
exact() {
	local total all
	total=$(status_get packs total) || return 1
	all=$(($(objects_in "$dir/a") + $(objects_in "$dir/b") +
		$(objects_in "$dir/c")))
	[ $all = $((2 * total)) ]
}

create || bail "cannot create"
mount_it || bail "cannot mount"
mkdir "$mnt/t"

files 1 300 && wait_well 60 || bail "cannot write"
full=$(stored)
sum_tree "$mnt" "$dir/all.sum"
for i in $(seq 1 300); do [ $((i % 5)) = 0 ] || echo "$mnt/t/$i"; done |
	xargs rm -f
sum_tree "$mnt" "$dir/few.sum"
check "the stores had more than files need" \
	test "$full" -gt $(($(live) * 10 / 6 + 3000000))
check "deleted: they shrink" wait_for 60 lean
check "deleted: to less than half of what they had" \
	test "$(stored)" -lt $((full / 2))
check "deleted: no object without a row" wait_for 60 exact
check "deleted: what is left reads" same_tree "$dir/few.sum" "$mnt"
forget
check "deleted: also from the stores" same_tree "$dir/few.sum" "$mnt"

# --- kill -9, again and again ------------------------------------------------

next=1000
for ((loop = 1; loop <= loops; loop++)); do
	files $next $((next + 60)) || fail "write $loop"
	drop $((next - 1000)) 3 $((next + 60))
	patch $((next - 500)) 4 $((next + 60))
	settled || fail "sync $loop"
	sum_tree "$mnt" "$dir/kill.sum"
	next=$((next + 61))
	# anywhere in what follows: uploads, copies, switches, deletions
	sleep $((loop % 4)).$(((loop * 37) % 10))
	kill_daemon
	unmount_dead
	mount_it || bail "mount $loop"
	check "killed $loop: every synced byte is there" \
		same_tree "$dir/kill.sum" "$mnt"
	forget
	check "killed $loop: and in the stores, what is not local" \
		same_tree "$dir/kill.sum" "$mnt"
	check "killed $loop: fsck" fsck_clean
done
wait_well 60 || fail "not well after kills"
check "killed: the stores shrink all the same" wait_for 90 lean
check "killed: no object without a row" wait_for 60 exact
forget
check "killed: all reads from the stores" same_tree "$dir/kill.sum" "$mnt"
lost() { find "$state/packs/lost" -type f 2>/dev/null | wc -l; }
note "set aside: $(lost)"

# --- a store that is away keeps its debt ---------------------------------------

sum_tree "$mnt" "$dir/away.sum"
mv "$dir/a" "$dir/a.away"
drop 1 1 1200
sum_tree "$mnt" "$dir/away.sum"
sleep 3
check "away: what is left reads" same_tree "$dir/away.sum" "$mnt"
mv "$dir/a.away" "$dir/a"
check "away: all goes when it is back" wait_for 90 exact
check "away: the stores shrink" wait_for 60 lean

# --- a store leaves while objects wait to be deleted ----------------------------

umount_it || bail "cannot unmount"
sed -i 's/^keep_deleted = .*/keep_deleted = 24h/' "$ini"
mount_it || bail "cannot mount"
files 3000 3100 && wait_well 60 || fail "write"
drop 3000 1 3090
kept() { [ "$(status_get packs total)" -lt $((($(objects_in "$dir/a") +
	$(objects_in "$dir/b") + $(objects_in "$dir/c")) / 2)) ]; }
check "kept: objects outlive their packs for keep_deleted" wait_for 60 kept
sum_tree "$mnt" "$dir/kept.sum"
"$pluri" drain "$ini" c >"$dir/drain.out" 2>&1 || sed 's/^/# /' "$dir/drain.out"
check "drain: nothing is left there" test "$(objects_in "$dir/c")" = 0
check "drain: all reads" same_tree "$dir/kept.sum" "$mnt"

umount_it || fail "cannot unmount"
done_testing
