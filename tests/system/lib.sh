# lib.sh - what the system tests share. Sourced by bash; TAP on stdout.
#
#   PLURI    the program under test (default: pluri in the PATH)
#   HELPERS  the directory of treesum, killer, timedread... (default:
#            where the build put them, beside PLURI in tests/system)
#
# One volume at a time: its INI is $ini, its mount point $mnt. Nothing waits by
# sleeping: wait_for polls a condition, with a limit.
set -u -o pipefail
export LC_ALL=C
umask 022

src=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=$(basename "$0" .sh)
pluri=${PLURI:-$(command -v pluri || echo pluri)}
helpers=${HELPERS:-$(dirname "$pluri")/tests/system}
checks=0
failures=0
servers=() # directories of swift.sh
children=() # processes of ours, ended at the end
mounts=()

# --- TAP --------------------------------------------------------------------

note() { printf '# %s\n' "$*" | sed '2,$s/^/# /'; }

pass() { checks=$((checks + 1)); printf 'ok %d - %s\n' $checks "$*"; }

fail() {
	checks=$((checks + 1))
	failures=$((failures + 1))
	printf 'not ok %d - %s\n' $checks "$*"
}

# check TEXT COMMAND...: passes when the command does.
check() {
	local text=$1
	shift
	if "$@"; then pass "$text"; else fail "$text"; fi
}

bail() {
	printf 'Bail out! %s\n' "$*"
	exit 1
}

skip_all() {
	printf '1..0 # SKIP %s\n' "$*"
	exit 0 # as meson reads TAP
}

done_testing() {
	# a build with sanitizers tells in the daemon's log only
	if grep -qsE 'Sanitizer|runtime error:' "$dir"/state*/daemon.log; then
		fail "a sanitizer spoke"
	fi
	if [ -e "${state-}/volume.db" ] && [ -e "${ini-}" ]; then
		check "fsck finds nothing" fsck_clean
	fi
	printf '1..%d\n' $checks
	[ $failures = 0 ]
}

# --- the scratch directory and the end --------------------------------------

tell_daemon() { # what a failed test wants to know
	local log
	for log in "$dir"/state*/daemon.log; do
		[ -s "$log" ] || continue
		note "last of $log:"
		tail -n 25 "$log" | sed 's/^/#   /'
	done
}

finish() {
	local status=$? i
	trap - EXIT
	for i in ${children[@]+"${children[@]}"}; do
		kill -KILL "$i" 2>/dev/null && wait "$i" 2>/dev/null
	done
	[ $failures = 0 ] && [ $status = 0 ] || tell_daemon
	for i in ${mounts[@]+"${mounts[@]}"}; do
		grep -qF " $i " /proc/self/mountinfo || continue
		kill_daemon 2>/dev/null
		umount -l "$i" 2>/dev/null || fusermount3 -uz "$i" 2>/dev/null
	done
	kill_daemon 2>/dev/null
	for i in ${servers[@]+"${servers[@]}"}; do
		"$src/servers/swift.sh" stop "$i" || true
	done
	if [ -n "${KEEP-}" ]; then
		note "kept: $dir"
	else
		cd / && rm -rf --one-file-system "$dir"
	fi
	exit $status
}

# For a script that a build runs in parts, beside each other, since it waits most
# of the time: parts_are ALL PART... - those asked for; without: ALL.
parts_are() {
	local one
	parts=" ${*:2} "
	[ $# -gt 1 ] || parts=" $1 "
	for one in $parts; do
		[[ " $1 " == *" $one "* ]] || bail "no such part: $one"
	done
}
part() { [[ $parts == *" $1 "* ]]; }

start_test() {
	# the one reason to skip: there is no FUSE here
	if ! [ -c /dev/fuse ] || ! (: <>/dev/fuse) 2>/dev/null; then
		skip_all "/dev/fuse cannot be opened"
	fi
	[ -x "$pluri" ] || bail "PLURI=$pluri is not a program"
	dir=$(mktemp -d "${TMPDIR:-/tmp}/plurifs-$name-XXXXXX") || exit 1
	chmod 755 "$dir"
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	mnt=$dir/mnt
	ini=$dir/vol.ini
	state=$dir/state
	mkdir "$mnt"
	mounts+=("$mnt")
}

# --- waiting ----------------------------------------------------------------

# wait_for SECONDS COMMAND...
wait_for() {
	local end=$(($(now_ms) + $1 * 1000))
	shift
	until "$@"; do
		if [ "$(now_ms)" -ge $end ]; then
			note "not within its time: $*"
			return 1
		fi
		sleep 0.1
	done
}

now_ms() { local t=$EPOCHREALTIME; t=${t/./}; echo $((t / 1000)); }

# --- the volume -------------------------------------------------------------

# volume_ini [LINE...]: the [volume] section, further lines in it
volume_ini() {
	printf '[volume]\nname = %s\nstate = %s\nkey = file:%s\n' \
		"sys-$name" "$state" "$dir/volume.key" >"$ini"
	[ $# = 0 ] || printf '%s\n' "$@" >>"$ini"
}

# store_ini NAME BACKEND URL [LINE...]
store_ini() {
	printf '\n[store "%s"]\nbackend = %s\nurl = %s\n' "$1" "$2" "$3" >>"$ini"
	shift 3
	[ $# = 0 ] || printf '%s\n' "$@" >>"$ini"
}

policy_ini() { # LINE...
	printf '\n[policy "default"]\n' >>"$ini"
	printf '%s\n' "$@" >>"$ini"
}

# two_stores [VOLUME LINE...] [-- POLICY LINE...]: the INI of most tests: each
# pack goes to two directories, soon
two_stores() {
	local s lines=()
	for s; do
		shift
		[ "$s" != -- ] || break
		lines+=("$s")
	done
	volume_ini ${lines[@]+"${lines[@]}"}
	for s in a b; do
		mkdir -p "$dir/$s"
		store_ini $s local "$dir/$s"
	done
	policy_ini 'layout = mirror:2' 'pack_age = 1s' "$@"
}

# Of a dead daemon, too, the kernel keeps the mount.
mounted() { grep -qF " $mnt " /proc/self/mountinfo; }
not_mounted() { ! mounted; }

create() { "$pluri" create "$ini" >"$dir/create.out" 2>&1 ||
	{ sed 's/^/# /' "$dir/create.out"; return 1; }; }
mount_it() { "$pluri" mount "$ini" "$mnt" "$@"; }
umount_it() { "$pluri" umount "$mnt" >"$dir/umount.out" 2>&1 ||
	{ sed 's/^/# /' "$dir/umount.out"; return 1; }; }

daemon_pid() { # from the lock file, if someone holds it
	[ -e "$state/lock" ] || return 1
	flock -n "$state/lock" true 2>/dev/null && return 1
	sed 's/ .*//' "$state/lock"
}

no_daemon() { ! daemon_pid >/dev/null; }

# kill -9, and clear the mount point as an administrator would.
kill_daemon() {
	local pid
	if pid=$(daemon_pid) && [ -n "$pid" ]; then
		kill -KILL "$pid" 2>/dev/null
		wait_for 60 no_daemon
	fi
}

unmount_dead() {
	mounted || return 0
	fusermount3 -uz "$mnt" 2>/dev/null || umount -l "$mnt"
	wait_for 60 not_mounted
}

# What a check of the volume finds, mounted or not, one code a line; those in
# $fsck_may, which a test has brought about on purpose, are left out.
fsck_codes() {
	"$pluri" fsck "$ini" --json >"$dir/fsck.json" 2>"$dir/fsck.err"
	[ $? != 1 ] || { sed 's/^/# /' "$dir/fsck.err"; return 1; }
	python3 - "$dir/fsck.json" "${fsck_may-}" <<-'EOS'
	import json, sys
	o = json.load(open(sys.argv[1]))
	for f in o["findings"]:
	    if f["code"] not in sys.argv[2].split():
	        print(f["code"])
	EOS
}

fsck_clean() {
	local found
	found=$(fsck_codes) || { echo "$found"; return 1; }
	[ -n "$found" ] || return 0
	"$pluri" fsck "$ini" 2>&1 | head -n 40 | sed 's/^/# /'
	return 1
}

# status_json [JQ-LIKE PATH...]: a member of status --json
status_get() {
	"$pluri" status "$ini" --json 2>/dev/null | python3 -c '
import json, sys
try:
    v = json.load(sys.stdin)
except ValueError:
    sys.exit(1)
for k in sys.argv[1:]:
    if isinstance(v, list):
        v = [x for x in v if x.get("name") == k][0]
    else:
        v = v[k]
print(json.dumps(v) if isinstance(v, (dict, list)) else v)' "$@"
}

status_exit() { # WANTED
	"$pluri" status "$ini" >"$dir/status.txt" 2>&1
	[ $? = "$1" ]
}

# Everything is where it should be: exit 0, and no debt.
all_well() {
	"$pluri" status "$ini" --json 2>/dev/null | python3 -c '
import json, sys
try:
    s = json.load(sys.stdin)
except ValueError:
    sys.exit(1)
sys.exit(not (s["state"] == "ok" and s["pending_bytes"] == 0 and
    all(t["wanted"] == 0 for t in s["stores"]) and
    s["packs"]["total"] == s["packs"]["full"]))' && status_exit 0
}

wait_well() { # SECONDS
	wait_for "$1" all_well || { "$pluri" status "$ini" | sed 's/^/# /'
		return 1; }
}

# The error class that status tells of a store: none, down, credentials...
store_error() { [ "$(status_get stores "$1" error)" = "$2" ]; }

# --- trees ------------------------------------------------------------------

sum_tree() { "$helpers/treesum" "$1" >"$2" 2>"$2.err" ||
	{ sed 's/^/# /' "$2.err" | head -n 5; return 1; }; }

# same_tree SUM DIR: is DIR what SUM, made by sum_tree, says?
same_tree() {
	sum_tree "$2" "$dir/now.sum" || return 1
	cmp -s "$1" "$dir/now.sum" && return 0
	diff "$1" "$dir/now.sum" | head -n 10 | sed 's/^/# /'
	return 1
}

# So that the next read asks the daemon, and it the clouds.
forget() {
	"$pluri" cache clear "$ini" >"$dir/cache.out" 2>&1 ||
		{ sed 's/^/# /' "$dir/cache.out"; return 1; }
	forget_kernel
}

# The kernel's pages of the mount; of everything, where we may.
forget_kernel() {
	if [ -w /proc/sys/vm/drop_caches ] &&
		echo 3 2>/dev/null >/proc/sys/vm/drop_caches; then
		return 0
	fi
	find "$mnt" -type f -exec dd if={} iflag=nocache count=0 \
		status=none \;
}

# --- servers ----------------------------------------------------------------

have_swift() {
	local n
	for n in account container object proxy; do
		command -v swift-$n-server >/dev/null || return 1
	done
}

# start_swift: sets $port and $swift; makes the bucket "pluri" at the first
start_swift() {
	local try out
	if [ -n "${swift-}" ]; then
		"$src/servers/swift.sh" start "$swift" "$port" \
			>"$dir/swift.out" 2>&1 && return 0
		sed 's/^/# /' "$dir/swift.out"
		return 1
	fi
	for try in 0 1 2 3 4 5 6 7; do
		port=$((20000 + ($$ + try * 997) % 2400 * 5))
		out=$dir/swift-$try
		if "$src/servers/swift.sh" start "$out" $port \
			>"$dir/swift.out" 2>&1; then
			swift=$out
			servers+=("$swift")
			"$src/servers/s3bucket.sh" $port make pluri
			return
		fi
		rm -rf "$out"
	done
	sed 's/^/# /' "$dir/swift.out"
	return 1
}

stop_swift() { "$src/servers/swift.sh" stop "$swift"; }

# s3_credentials FILE [SECRET]
s3_credentials() {
	(umask 077
	printf 'access_key_id = test:tester\nsecret_access_key = %s\n' \
		"${2-testing}" >"$1")
}

# Objects of ours in a local store's directory, the descriptor apart.
objects_in() { find "$1" -type f ! -name pluri-volume ! -path "*/.tmp~/*" | wc -l; }
