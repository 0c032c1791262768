#!/bin/bash
# kill.sh - the daemon dies by SIGKILL at random moments under load; what was
# synced is whole after the next mount, and no byte is one never written there.
#
#   ROUNDS=50 SEED=...   how often, and how it goes
. "$(dirname "$0")/lib.sh"

rounds=${ROUNDS:-50}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
keep=5 # rounds whose files stay, to be read again later

start_test
note "SEED=$seed ROUNDS=$rounds"
RANDOM=$((seed % 32768))

volume_ini 'cache = 64M' 'dirty = 32M' 'timeout = 5s'
for s in a b c; do
	mkdir "$dir/$s"
	store_ini $s local "$dir/$s"
done
policy_ini 'layout = mirror:2' 'pack = 1M' 'pack_age = 1s'
create || bail "create"
mount_it || bail "mount"

# Its directories are made and synced, or it ended and says why.
begun() { # ROUND PID
	[ -e "$dir/log$1/begun" ] || ! kill -0 $2 2>/dev/null
}

# Load until the daemon dies; the load must see no other failure.
load_and_kill() { # ROUND
	local ms=$((300 + RANDOM % 1200)) load pid
	mkdir "$mnt/r$1" "$dir/log$1" && sync -f "$mnt/r$1" || return 1
	"$helpers/killer" "$mnt/r$1" "$dir/log$1" $((seed + $1)) 20000 \
		2>"$dir/killer.err" &
	load=$!
	children=($load)
	wait_for 60 begun $1 $load || return 1
	sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))" # the moment
	pid=$(daemon_pid) || { note "the daemon is gone already"; return 1; }
	kill -KILL "$pid"
	wait $load
	local status=$?
	children=()
	[ $status = 0 ] && return 0
	sed 's/^/# /' "$dir/killer.err" | head -n 5
	return 1
}

# Now and then the next daemon dies while it mends.
kill_again() {
	local pid ms=$((RANDOM % 60)) m
	mount_it >"$dir/again.out" 2>&1 &
	m=$!
	sleep "0.$(printf %03d $ms)" # the moment
	pid=$(daemon_pid) && kill -KILL "$pid"
	wait $m
	kill_daemon
	unmount_dead
}

mount_again() {
	kill_daemon
	unmount_dead && mount_it
}

# What was left by a round stays as it was found after it.
verify_all() { # ROUND
	local r
	wait_well 60 && forget || return 1
	for ((r = $1 - keep + 1; r <= $1; r++)); do
		[ $r -gt 0 ] || continue
		"$helpers/kill_check" "$mnt/r$r" "$dir/log$r" \
			>"$dir/check.out" || { cat "$dir/check.out"; return 1; }
		same_tree "$dir/r$r.sum" "$mnt/r$r" || return 1
	done
}

round() { # N
	load_and_kill $1 || return 1
	unmount_dead
	[ $(($1 % 4)) != 0 ] || kill_again
	mount_again || return 1
	"$helpers/kill_check" "$mnt/r$1" "$dir/log$1" >"$dir/check.out" ||
		{ cat "$dir/check.out"; return 1; }
	sum_tree "$mnt/r$1" "$dir/r$1.sum" || return 1
	[ $(($1 % 5)) != 0 ] || verify_all $1 || return 1
	[ $1 -le $keep ] || rm -rf "$mnt/r$(($1 - keep))" "$dir/log$(($1 - keep))"
}

for ((n = 1; n <= rounds; n++)); do
	if round $n; then
		pass "round $n: $(tail -n 1 "$dir/check.out" | cut -c3-)"
	else
		fail "round $n of seed $seed"
		break
	fi
done
check "at last all is in the clouds" wait_well 60
check "unmounted" umount_it
done_testing
