#!/bin/bash
# fault.sh - clouds that fail in every way the fault backend knows: with one
# good store left all bytes are right; with none, they are right or an error.
# No read waits longer than its deadline; afterwards all heals by itself.
#
#   fault.sh PART...   one: a store fails readers; both: all do; more: the rest
#                      of "both"; hang: what hangs hangs nobody; put: writing.
#                      Without: all of them. Each stands for itself.
. "$(dirname "$0")/lib.sh"

parts_are 'one both more hang put' "$@"

TIMEOUT_S=2
LONGEST_MS=$((3 * TIMEOUT_S * 1000 + 2000)) # a read may take
SYNC_MS=5000 # an fsync to the local disk may take, on a busy machine

start_test
orig=$dir/orig
volume_ini "timeout = ${TIMEOUT_S}s"
mkdir "$dir/a" "$dir/b"
: >"$dir/fault.a"
: >"$dir/fault.b"
for s in a b; do
	store_ini $s fault "fault:local:$dir/$s" "fault_file = $dir/fault.$s" \
		"fault_log = $dir/calls.$s"
done
policy_ini 'layout = mirror:2' 'pack = 1M' 'pack_age = 1s'

# faults STORE LINE...: from now on; none: no faults
faults() {
	local f=$dir/fault.$1
	shift
	{ [ $# = 0 ] || printf '%s\n' "$@"; } >"$f.new" && mv "$f.new" "$f"
}

healthy() {
	faults a
	faults b
	wait_well 60
}

# read_all WANTED [FILE...]: each file right ("right"), or right or an error
# ("either"); never wrong, never too late
read_all() {
	local wanted=$1 f verdict ms out worst=0 errors=0
	shift
	[ $# -gt 0 ] || set -- $(cd "$orig" && ls)
	for f in "$@"; do
		out=$("$helpers/timedread" "$mnt/$f" "$orig/$f")
		read -r verdict ms <<<"$out"
		[ "$ms" -le $worst ] || worst=$ms
		case $verdict in
		right) ;;
		wrong*) note "$f: $out"; return 1 ;;
		*) errors=$((errors + 1)) ;;
		esac
		if [ "$verdict" != right ] && [ $wanted = right ]; then
			note "$f: $out"
			return 1
		fi
	done
	longest=$worst
	[ $worst -le $LONGEST_MS ] ||
		{ note "a read took $worst ms"; return 1; }
	note "longest read $worst ms, $errors errors"
}

mkdir "$orig"
for n in 1 2 3 4 5 6; do
	head -c $((n * 700001)) /dev/urandom >"$orig/random$n"
	yes "line $n" | head -c $((n * 30011)) >"$orig/text$n"
done
head -c 20 /dev/urandom >"$orig/tiny"

check "created" create
check "mounted" mount_it
check "copied" cp "$orig"/* "$mnt/"
check "all well" wait_well 60
check "readable without faults" read_all right

# --- reading: one store fails, then both ------------------------------------

reads=(
	'error EAGAIN op=get'
	'error EACCES op=get'
	'error EBADMSG op=get'
	'error ETIMEDOUT op=get p=0.5 seed=3'
	'delay delay_ms=150 op=get'
	'delay delay_ms=5000 op=get'
	'hang'
	'hang op=get hard delay_ms=4000'
	'truncate op=get'
	'truncate op=get bytes=70000'
	'flip op=get seed=7'
	'flip op=get p=0.3 seed=8'
	'notfound'
	'lost-answer op=get'
	'late op=get delay_ms=300'
	'list-cut'
	'list-fail'
)

asked() { # was store a asked for shards since it has faults?
	[ "$(tail -c +$((calls + 1)) "$dir/calls.a" | grep -c '^get .*/')" -gt 0 ]
}

one_fails() { # MODE
	# a mount that knows of no slow store yet, but then of b, prefers a
	umount_it
	faults b 'delay delay_ms=30 op=get'
	mount_it || bail "no mount"
	wait_well 30
	forget
	calls=$(stat -c %s "$dir/calls.a")
	faults a "$1"
	check "one store, $1: right" read_all right
	check "one store, $1: it was asked" wait_for 60 asked
	check "one store, $1: heals" healthy
}

both_fail() { # MODE
	local few=
	forget
	faults a "$1"
	faults b "$1"
	case $1 in # one and a few, since each waits for its deadline
	hang* | late* | *5000*) few="tiny random3" ;;
	esac
	check "both stores, $1: right or an error" read_all either $few
	check "both stores, $1: heals" healthy
	check "both stores, $1: right afterwards" read_all right
}

half=$((${#reads[@]} / 2)) # the two take about as long
if part one; then
	for mode in "${reads[@]}"; do one_fails "$mode"; done
fi
if part both; then
	for mode in "${reads[@]:0:half}"; do both_fail "$mode"; done
fi
if part more; then
	for mode in "${reads[@]:half}"; do both_fail "$mode"; done
fi

# --- what hangs hangs nobody ------------------------------------------------

reading() { # PID: it has the file open
	ls -l "/proc/$1/fd" 2>/dev/null | grep -qF "$mnt/"
}

status_quick() {
	local t try
	for try in 1 2 3; do
		t=$(now_ms)
		"$pluri" status "$ini" >"$dir/status.txt" 2>&1
		t=$(($(now_ms) - t))
		[ $t -gt 1000 ] || return 0
	done
	note "status took $t ms"
	return 1
}

both_hang() {
	forget
	faults a hang
	faults b hang
	"$helpers/timedread" "$mnt/random6" >"$dir/reader.out" &
	reader=$!
	children=($reader)
	check "a reader waits" wait_for 60 reading $reader
	check "status answers within 1 s" status_quick
	t=$(now_ms)
	kill -KILL $reader
	wait $reader 2>/dev/null
	children=()
	t=$(($(now_ms) - t))
	note "the reader was gone after $t ms"
	check "a killed reader is gone within 1 s" test $t -le 1000
	check "names are there" test -e "$mnt/random1" -a ! -e "$mnt/none"
	check "heals from hanging" healthy
	check "right afterwards" read_all right
}
if part hang; then both_hang; fi

# --- writing ----------------------------------------------------------------

in_debt() { [ "$(status_get stores a wanted)" -gt 0 ]; }

# fsync_file NAME: written and synced in time, to $orig too
fsync_file() {
	local t
	head -c 300000 /dev/urandom >"$orig/$1"
	t=$(now_ms)
	dd if="$orig/$1" of="$mnt/$1" bs=64k conv=fsync status=none || return 1
	t=$(($(now_ms) - t))
	[ $t -le $SYNC_MS ] || { note "fsync took $t ms"; return 1; }
}

n=0
put_fails() { # MODE
	n=$((n + 1))
	faults a "$1"
	check "put, $1: fsync returns" fsync_file new$n
	case $1 in
	full | 'error EAGAIN op=put' | 'error EACCES op=put' | hang*)
		check "put, $1: it is owed" wait_for 60 in_debt
		check "put, $1: still owed" in_debt ;;
	esac
	check "put, $1: right meanwhile" read_all right new$n
	check "put, $1: paid" healthy
	forget
	check "put, $1: right afterwards" read_all right new$n
	check "put, $1: no store counts as ill" wait_well 60
}

if part put; then
	for mode in full 'error EAGAIN op=put' 'error EACCES op=put' \
		'lost-answer op=put' 'hang op=put' 'late op=put delay_ms=300' \
		'delay op=put delay_ms=400' 'truncate op=put' \
		'flip op=put seed=5' notfound 'error EAGAIN op=put p=0.5 seed=9'
	do
		put_fails "$mode"
	done
fi

check "all is right at last" read_all right
check "unmounted" umount_it
done_testing
