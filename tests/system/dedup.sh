#!/bin/bash
# dedup.sh - programs write the same content at the same time, one of them is
# killed, then the daemon: what refers to what is counted exactly, and no file
# has bytes of another. By all three policies; a rotten copy is not taken.
#
#   ROUNDS=2    of each policy
. "$(dirname "$0")/lib.sh"

rounds=${ROUNDS:-2}
seed=${SEED:-$RANDOM}
RANDOM=$seed

start_test
note "SEED=$seed"
mkdir "$dir/src"
for i in 1 2 3 4 5 6; do
	head -c $((i * 700000)) /dev/urandom >"$dir/src/$i"
	head -c $((i * 1000)) /dev/urandom >"$dir/src/small$i"
done

write_ini() { # DEDUP
	two_stores 'cache = 64M' 'timeout = 5s' -- 'pack = 2M' "dedup = $1"
}

apply_it() { "$pluri" apply "$ini" >"$dir/apply.out" 2>&1 ||
	{ sed 's/^/# /' "$dir/apply.out"; return 1; }; }

same_again() { # DIRECTORY: until it fails, or is ended
	local k f
	for ((k = 0; k < 1000; k++)); do
		for f in "$dir"/src/*; do
			cp "$f" "$1/${f##*/}.$((k % 3))" || return
		done
		rm "$1"/small*.$((k % 3)) || return
	done
}

# Each block is of the file's own source, or was never written.
right_bytes() {
	python3 - "$mnt" "$dir/src" <<-'EOS'
	import os, sys
	bad = 0
	for top, _, names in os.walk(sys.argv[1]):
	    for n in names:
	        if "." not in n:
	            continue
	        with open(os.path.join(top, n), "rb") as f:
	            got = f.read()
	        with open(os.path.join(sys.argv[2], n.split(".")[0]), "rb") as f:
	            src = f.read()
	        for at in range(0, len(got), 4096):
	            b = got[at:at + 4096]
	            if b != src[at:at + len(b)] and b.strip(b"\0"):
	                bad += 1
	print("#", bad, "blocks of others") if bad else None
	sys.exit(bad > 0)
	EOS
}

end_child() { kill -KILL "$1" 2>/dev/null; wait "$1" 2>/dev/null; }

round() {
	local w
	mkdir -p "$mnt/w1" "$mnt/w2"
	for w in 1 2; do
		same_again "$mnt/w$w" 2>/dev/null &
		children+=($!)
	done
	sleep "$((RANDOM % 2)).$((RANDOM % 9))" # the moment
	end_child "${children[0]}"
	sleep "0.$((RANDOM % 4))" # the moment
	kill_daemon
	end_child "${children[1]}"
	children=()
	unmount_dead && fsck_clean && mount_it && right_bytes && fsck_clean
}

policy=on
write_ini on
check "created" create
check "mounted" mount_it
for policy in on verify off; do
	write_ini $policy
	check "$policy: applied" apply_it
	check "$policy: shown" eval '"$pluri" policy list "$ini" | grep -qw $policy'
	for ((i = 1; i <= rounds; i++)); do
		check "$policy: killed, round $i" round
	done
done
check "all is in the clouds" wait_well 60

# The same content once more, by policy.
grown() { # NAME: bytes that a copy of it adds to the store
	local before
	before=$(du -sb "$dir/a" | cut -f1)
	cp "$dir/$1" "$mnt/$1.again" && sync -f "$mnt" && wait_well 60 ||
		return 1
	grown=$(($(du -sb "$dir/a" | cut -f1) - before))
	rm "$mnt/$1.again"
}
head -c 5M /dev/urandom >"$dir/five"
check "written" eval 'cp "$dir/five" "$mnt/five" && wait_well 60'
check "off: copied" grown five
check "off: stored once more" test $grown -gt 5000000
write_ini verify
check "verify: applied" apply_it
check "verify: written" eval 'cp "$dir/five" "$mnt/5" && wait_well 60'
check "verify: copied" grown five
check "verify: not stored once more" test $grown -lt 100000

rot() { # each pack, in both stores and here
	umount_it || return 1
	python3 - "$state/packs" "$dir/a" "$dir/b" <<-'EOS'
	import os, sys
	for d in sys.argv[1:]:
	    for top, _, names in os.walk(d):
	        for n in names:
	            p = os.path.join(top, n)
	            if n == "pluri-volume" or os.path.getsize(p) < 4096:
	                continue
	            with open(p, "r+b") as f:
	                for at in range(2048, os.path.getsize(p) - 1024, 65536):
	                    f.seek(at)
	                    f.write(b"rotten")
	EOS
	mount_it
}
check "everything rots" rot
check "verify: the same content is written" eval \
	'cp "$dir/five" "$mnt/six" && sync -f "$mnt" && wait_well 60'
check "and is whole" eval 'forget && cmp "$dir/five" "$mnt/six"'
check "the log names chunk and pack" grep -qE \
	'chunk [0-9a-f]{64} in pack [0-9a-f]{32} is not taken' "$state/daemon.log"
check "what rotted is told as such" eval '! cat "$mnt/5" >/dev/null 2>&1'
check "unmounted" umount_it
done_testing
