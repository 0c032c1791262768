#!/bin/bash
# model.sh - random operations by several processes, on the mount and on a
# directory of this machine alike; then races; with remounts, dropped caches
# and kill -9 in between. What modelrun.c says of it is not repeated here.
#
#   SEED=... SEEDS=1     the first, and how many of them
#   BATCHES=50           of each, at least; about a minute of two processors
#   MINUTES=0 STEPS=1000 of each, at least, too
#   PROCS=3              processes
#   TRACE=FILE           do again what failed; FILE.why said why
#   MORE='--no-crash'    further options of modelrun
. "$(dirname "$0")/lib.sh"

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
[ "$(id -u)" = 0 ] || skip_all "other users need root"

start_test
# Small bounds, so that everything passes them.
two_stores 'cache = 64M' 'dirty = 8M' 'memory_cache = 8M' -- 'pack = 4M'
create || bail "create"

fsck_it() { # where there is such a verb
	"$pluri" fsck --help >/dev/null 2>&1 || return 0
	"$pluri" fsck "$ini" >"$dir/fsck.out" 2>&1 && return 0
	echo "# fsck:"
	head -n 20 "$dir/fsck.out" | sed 's/^/#   /' |
		tee -a "${MODEL_WHY:-/dev/null}"
	return 1
}
mount_now() { mount_it -o "allow_other,dev,suid${OPTIONS:+,$OPTIONS}"; }
event() { # WORD
	case $1 in
	drop) forget_kernel ;;
	clear) forget ;;
	remount) umount_it && fsck_it && mount_now ;;
	kill) kill -KILL "$(daemon_pid)" ;;
	recover) kill_daemon && unmount_dead && fsck_it && mount_now ;;
	esac
}
export pluri ini mnt state dir OPTIONS
export -f event forget forget_kernel umount_it fsck_it mount_it mount_now \
	kill_daemon unmount_dead daemon_pid wait_for now_ms no_daemon mounted \
	not_mounted note

check "mounted" mount_now
again() { # SEED [OPTION...]
	rm -rf "$dir/ref" "$dir/work" "$mnt"/*
	sync "$mnt" # or a death would bring it back, which is lawful
	mkdir "$dir/ref" "$dir/work"
	"$helpers/modelrun" --ref "$dir/ref" --mount "$mnt" \
		--work "$dir/work" --event 'event "$1"' --procs "${PROCS:-3}" \
		--seed "$@" ${MORE-} && return 0
	cp "$state/daemon.log" "${TMPDIR:-/tmp}/plurifs-model-$1.trace.log"
	return 1
}
check "cut since it was synced, then killed" again 0 --own
if [ -n "${TRACE-}" ]; then
	check "trace $TRACE" again 0 --replay "$TRACE"
	seed=0 SEEDS=0
fi
for ((n = 0; n < ${SEEDS:-1}; n++)); do
	check "seed $((seed + n))" again $((seed + n)) \
		--batches "${BATCHES:-50}" --minutes "${MINUTES:-0}" \
		--steps "${STEPS:-1000}"
	[ $failures = 0 ] || break
done
check "all is well at last" wait_well 60
check "unmounted" umount_it
check "referential integrity" fsck_it
done_testing
