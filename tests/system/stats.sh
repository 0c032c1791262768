#!/bin/bash
# stats.sh - `pluri stats` counts what was done, says what is on its way, and
# answers while every store hangs; --watch tells on, and ends as it should.
. "$(dirname "$0")/lib.sh"

BYTES=6000000
FILES=40
ANSWER_MS=1000 # a look may take, on a busy machine

start_test
volume_ini 'timeout = 20s' 'memory_cache = 32M'
for s in a b; do
	mkdir "$dir/$s"
	: >"$dir/fault.$s"
	store_ini $s fault "fault:local:$dir/$s" "fault_file = $dir/fault.$s"
done
policy_ini 'layout = mirror:2' 'pack = 2M' 'pack_age = 1s'

faults() { # LINE, or none: of both stores, from now on
	local s
	for s in a b; do
		echo "${1-}" >"$dir/fault.$s.new"
		mv "$dir/fault.$s.new" "$dir/fault.$s"
	done
}

# look: one answer, for what follows to ask; what stores say is added up
look() {
	"$pluri" stats "$ini" --json >"$dir/stats.json" &&
		python3 - "$dir/stats.json" >"$dir/stats.flat" <<-'EOS'
	import collections, json, sys
	flat = collections.Counter()
	def walk(path, v):
	    for k, x in v.items() if isinstance(v, dict) else [("", y) for y in v]:
	        if isinstance(x, (dict, list)):
	            walk(path + [k] if k else path, x)
	        elif isinstance(x, int):
	            flat[" ".join(path + [k])] += x
	walk([], json.load(open(sys.argv[1])))
	for k, x in flat.items():
	    print(f"{k}={x}")
	EOS
}

# num PATH...: a member
num() { sed -n "s/^$*=//p" "$dir/stats.flat"; }

# is WANTED PATH...
is() {
	local got
	got=$(num "${@:2}")
	[ "$got" = "$1" ] || { note "${*:2}: $got, not $1"; return 1; }
}
over() { [ "$(num "${@:2}")" -gt "$1" ] || { note "${*:2} <= $1"; return 1; }; }

under() { [ "$(num "${@:2}")" -lt "$1" ] || { note "${*:2} >= $1"; return 1; }; }

look_in_time() {
	local began=$(now_ms) ms
	"$pluri" stats "$ini" --json >"$dir/stats.json" || return 1
	ms=$(($(now_ms) - began))
	[ $ms -le $ANSWER_MS ] || { note "it took $ms ms"; return 1; }
	look
}

look_status() { # WANTED STATUS, WANTED TEXT
	"$pluri" stats "$ini" >"$dir/look.out" 2>&1
	[ $? = "$1" ] && grep -q "$2" "$dir/look.out"
}

check "created" create
check "not mounted: refused" look_status 1 'is not mounted'
check "mounted" mount_it

# --- what was done -----------------------------------------------------------

head -c $BYTES /dev/urandom >"$dir/big"
check "written" cp "$dir/big" "$mnt/big"
look
made=$(num requests create requests_total) # the first file takes two
for ((i = 0; i < FILES; i++)); do printf 'small %04d\n' $i >"$mnt/s$i"; done
check "in the clouds" eval 'sync "$mnt/big" && "$pluri" sync "$mnt" >/dev/null'
look
check "bytes written" is $((BYTES + FILES * 11)) requests write bytes_total
check "files made" is $((made + FILES)) requests create requests_total
check "an fsync" is 1 requests fsync requests_total
check "no errors" eval 'is 0 requests write errors_total &&
	is 0 stores errors_total'
check "nothing is under way" eval 'is 0 pending staged_bytes &&
	is 0 pending owed_bytes && is 0 requests_in_flight'
check "bytes sent twice" over $((2 * BYTES)) stores out_bytes_total
check "puts to both" over 3 stores puts_total
check "for people" look_status 0 '^write  *[1-9]'

forget_kernel
check "read from local packs" cmp "$dir/big" "$mnt/big"
look
check "told so" over $((BYTES - 1)) fetches local_bytes_total
check "not from the clouds" is 0 fetches cloud_total
check "nothing is cached" forget
look
gets=$(num stores gets_total)
misses=$(num cache misses_total)
check "read cold" cmp "$dir/big" "$mnt/big"
look
check "gets" over $gets stores gets_total
check "bytes come from the clouds" over $((BYTES - 1)) stores in_bytes_total
check "misses" over $misses cache misses_total
check "fetched from the clouds" over $((BYTES - 1)) fetches cloud_bytes_total
check "bytes read" over $((BYTES - 1)) requests read bytes_total
hits=$(num cache hits_total)
misses=$(num cache misses_total)
came=$(num stores in_bytes_total)
check "read again" eval 'forget_kernel && cmp "$dir/big" "$mnt/big"'
look
check "hits" over $((hits + BYTES / 131072)) cache hits_total
# but for what greetings read, and small files beside it
check "hardly a miss" under $((misses + FILES)) cache misses_total
check "hardly a byte comes from the clouds" under $((came + BYTES / 20)) \
	stores in_bytes_total

# --- watching ----------------------------------------------------------------

watch() { # OUTPUT ARGUMENT...
	local out=$1
	shift
	: >"$out"
	"$pluri" stats "$ini" --watch 0.1 "$@" >"$out" 2>"$out.err" &
	watcher=$!
	children+=($watcher)
}
watcher_ends() { # STATUS
	local status
	wait_for 60 eval '! kill -0 $watcher 2>/dev/null'
	wait $watcher
	status=$?
	[ $status = "$1" ] || { note "exit status $status"; return 1; }
}
blocks() { [ "$(grep -c "$2" "$1")" -ge 3 ]; }

watch "$dir/w.text"
check "watch: tells on" wait_for 60 blocks "$dir/w.text" '^STORE '
check "watch: nothing negative" eval '! grep -qE "[ /]-[0-9]" "$dir/w.text"'
kill -INT $watcher
check "watch: Ctrl-C ends it" watcher_ends 0
watch "$dir/w.json" --json
check "watch: JSON, a line each" wait_for 60 blocks "$dir/w.json" '}$'
kill -INT $watcher
check "watch: Ctrl-C ends that, too" watcher_ends 0
check "watch: each line is an object" python3 -c '
import json, sys
up = [json.loads(l)["daemon"]["uptime_us"] for l in open(sys.argv[1])]
sys.exit(up != sorted(up) or len(up) < 3)' "$dir/w.json"

# --- nothing answers ---------------------------------------------------------

faults hang
check "nothing is cached" forget
cat "$mnt/big" >"$dir/back" 2>/dev/null &
reader=$!
children+=($reader)
printf 'more\n' >"$mnt/late"
sync "$mnt/late" # to the local disk
in_flight() {
	look_in_time && over 0 requests_in_flight && over 0 stores in_flight
}
stuck() { look_in_time && over 0 pending staged_bytes >/dev/null; }
check "hanging: told within a second" wait_for 30 in_flight
check "hanging: what waits is told" wait_for 30 stuck
check "hanging: for how long" over 0 pending oldest_us
check "hanging: status tells, too" eval \
	'[ "$(status_get oldest_pending_s)" -ge 0 ]'
faults
wait $reader
check "all comes in the end" cmp "$dir/big" "$dir/back"
check "all well" wait_well 60

# --- the daemon goes ---------------------------------------------------------

watch "$dir/w.gone"
check "watch: once more" wait_for 60 blocks "$dir/w.gone" '^STORE '
kill_daemon
check "watch: the daemon died" watcher_ends 1
check "watch: says so" grep -q 'watched no more' "$dir/w.gone.err"
check "cleared" unmount_dead
done_testing
