#!/bin/bash
# refusals.sh - a mount that is refused changes nothing, to the byte; a state
# directory that is full is told of at each step; a cloud that answers badly is
# called what it is, at create and under a mount, and heals when it does.
. "$(dirname "$0")/lib.sh"

start_test
secret=Confidential/9d41c6a0b7+x # must appear nowhere

# refused TEXT COMMAND WORD...: exit 1, one line, each WORD (an extended regular
# expression) in it; and not the next WORD after a "!".
refused() {
	local text=$1 cmd=$2 word bad= status not=
	shift 2
	timeout 60 "$pluri" $cmd >"$dir/out" 2>&1
	status=$?
	[ $status = 1 ] || bad=" exit status $status"
	[ "$(wc -l <"$dir/out")" = 1 ] || bad="$bad, $(wc -l <"$dir/out") lines"
	for word; do
		[ "$word" = ! ] && not=1 && continue
		if grep -qE -- "$word" "$dir/out"; then
			[ -z "$not" ] || bad="$bad, says \"$word\""
		else
			[ -n "$not" ] || bad="$bad, no \"$word\""
		fi
		not=
	done
	[ -z "$bad" ] || note "$bad: $(head -n 3 "$dir/out")"
	check "$text" test -z "$bad"
}

# All bytes of the state and the stores; logs and the lock's pid apart.
bytes() {
	(cd "$dir" && find state a b -type f ! -name lock \
		! -name 'daemon.log*' -exec sha256sum {} + | sort -k 2)
}

unchanged() { # TEXT COMMAND WORD...: refused, and as before
	bytes >"$dir/before"
	refused "$@"
	bytes >"$dir/after"
	check "$1: nothing is changed" cmp "$dir/before" "$dir/after"
}

# --- a mount that is refused ------------------------------------------------

mkdir "$dir/a" "$dir/b" "$dir/full" "$dir/plugins"
good_ini() { # KEY: a line of [volume]
	volume_ini
	[ $# = 0 ] || sed -i "s|^key = .*|$1|" "$ini"
	store_ini a local "$dir/a"
	store_ini b local "$dir/b"
}
good_ini
create || bail "create"
mount_it || bail "mount"
head -c 300000 /dev/urandom >"$dir/file"
cp "$dir/file" "$mnt/file"
umount_it || bail "umount"

unchanged "no mount point" "mount $ini $dir/none" "$dir/none: .*No such"
touch "$dir/full/file"
unchanged "a full mount point" "mount $ini $dir/full" "$dir/full" 'not empty'
unchanged "a file for a mount point" "mount $ini $dir/file" \
	"$dir/file is not a directory"
unchanged "an unknown option" "mount $ini $mnt -o alow_other" \
	'alow_other.*allow_other'
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$dir/other.key"
chmod 600 "$dir/other.key"
good_ini "key = file:$dir/other.key"
unchanged "another key" "mount $ini $mnt" 'other.key' 'key'
good_ini "key = env:PLURI_TEST_NONE"
unchanged "a key from nowhere" "mount $ini $mnt" \
	"the volume's key.*PLURI_TEST_NONE"
good_ini "key = command:exit 3"
unchanged "a key whose command fails" "mount $ini $mnt" \
	"the volume's key.*status 3"
good_ini
: >"$dir/plugins/pluri-local.so"
PLURI_PLUGINS=$dir/plugins unchanged "a plugin that is none" \
	"mount $ini $mnt" 'plugins/pluri-local.so'
python3 -c '
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
v = c.execute("pragma user_version").fetchone()[0]
c.execute("pragma user_version = %d" % (v + 1))' "$state/volume.db"
unchanged "a newer schema" "mount $ini $mnt" 'newer'
python3 -c '
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
v = c.execute("pragma user_version").fetchone()[0]
c.execute("pragma user_version = %d" % (v - 1))' "$state/volume.db"
check "mounted after all of that" mount_it
check "equal" cmp "$dir/file" "$mnt/file"
umount_it

# --- a full state directory -------------------------------------------------

tries_to_write() { # until it is told, bounded
	dd if=/dev/urandom of="$mnt/more" bs=1M count=90 conv=fsync \
		2>"$dir/out"
	[ $? != 0 ] && grep -q 'No space left' "$dir/out" && return 0
	sed 's/^/# /' "$dir/out"
	return 1
}

if mkdir "$dir/small" && mount -t tmpfs -o size=100M none "$dir/small" \
	2>/dev/null; then
	mounts+=("$dir/small")
	kept=$state
	state=$dir/small/state
	mkdir "$dir/sa" "$dir/sb"
	volume_ini 'dirty = 8M'
	store_ini a local "$dir/sa"
	store_ini b local "$dir/sb"
	check "small disk: created" create
	check "small disk: mounted" mount_it
	check "small disk: written" cp "$dir/file" "$mnt/file"
	check "small disk: unmounted" umount_it
	head -c 100M /dev/zero >"$dir/small/ballast" 2>/dev/null
	check "full at mount: reading needs no room" mount_it
	check "full at mount: what was there is read" \
		cmp "$dir/file" "$mnt/file"
	check "full at mount: a writer is told" tries_to_write
	rm "$dir/small/ballast"
	check "with room writes go on" wait_for 60 eval '
		cp "$dir/file" "$mnt/first" 2>/dev/null && sync "$mnt/first"'
	head -c $(($(df -k --output=avail "$dir/small" | tail -n 1) - 500))k \
		/dev/zero >"$dir/small/ballast"
	check "full under a mount: a writer is told" tries_to_write
	check "full under a mount: what was there is read" \
		cmp "$dir/file" "$mnt/file"
	rm "$dir/small/ballast"
	check "with room again writes go on, without a mount anew" \
		wait_for 60 eval 'rm -f "$mnt/more" && cp "$dir/file" \
			"$mnt/again" 2>/dev/null && sync "$mnt/again"'
	check "and are right" cmp "$dir/file" "$mnt/again"
	check "all well" wait_well 60
	check "small disk: unmounted at last" umount_it
	umount "$dir/small"
	state=$kept
else
	note "no tmpfs may be mounted here: full disks are left out"
fi

# --- a cloud that answers badly ---------------------------------------------

mode() { echo "$1" >"$dir/mode.new" && mv "$dir/mode.new" "$dir/mode"; }
mode ok
python3 "$src/system/cloud.py" "$dir/mode" >"$dir/port" &
children+=($!)
wait_for 60 test -s "$dir/port" || bail "the cloud does not start"
port=$(cat "$dir/port")
s3_credentials "$dir/s3.cred" "$secret"
state=$dir/state-s3
mkdir "$dir/l"
volume_ini 'timeout = 3s' 'cache = 0' 'memory_cache = 0'
store_ini l local "$dir/l"
store_ini c s3 "http://127.0.0.1:$port/bucket/v" 'region = us-east-1' \
	"credentials = file:$dir/s3.cred"
policy_ini 'layout = mirror:2' 'pack_age = 200ms'

bad_cloud() { # MODE WORD...
	mode $1
	refused "create, cloud: $1" "create $ini" 'store c' "${@:2}" ! \
		'holds a volume'
	check "create, cloud: $1: the other store is empty" \
		test -z "$(ls -A "$dir/l")"
}
bad_cloud signature SignatureDoesNotMatch credentials ! 'down|unreachable'
bad_cloud unknown-key InvalidAccessKeyId credentials ! 'down|unreachable'
bad_cloud no-bucket NoSuchBucket 'bucket is missing' ! credentials
bad_cloud html 'neither empty' 'url' ! credentials
bad_cloud html-404 404 'S3 endpoint'
bad_cloud noise 'neither empty' 'url'
bad_cloud bomb 403
bad_cloud redirect 302 'S3 endpoint'
bad_cloud cut 'bytes'
bad_cloud not-http 'HTTP|protocol|unsupported|weird'
bad_cloud hang-up '[Ee]mpty reply'
bad_cloud hang 'no answer within 3000 ms|no complete answer by the deadline'
bad_cloud broken 500 InternalError
bad_cloud throttle 503 SlowDown
mode ok
check "create, cloud: ok" create

check "mounted" mount_it
cp "$dir/file" "$mnt/file"
check "all well" wait_well 60
is_called() { # CLASS EXIT
	store_error c $1 && status_exit $2
}
called() { # MODE CLASS
	mode $1
	# what is written has to go there: nobody waits for the next greeting
	check "$1: written" eval 'head -c 100000 /dev/urandom >"$mnt/$1" &&
		sync "$mnt/$1"'
	check "$1: called $2" wait_for 60 is_called $2 1
	forget
	check "$1: read from the other store" cmp "$dir/file" "$mnt/file"
	mode ok
	check "$1: heals by itself" wait_well 60
}
called signature credentials
called no-bucket missing
called html-404 corrupt
called html corrupt
called broken down
called hang-up down
there() { # objects that the cloud lists
	python3 -c '
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).read().count(b"<Key>"))' \
		"http://127.0.0.1:$port/bucket?list-type=2&prefix=v/packs/"
}
check "the cloud has every object that status counts" \
	test "$(there)" = "$(status_get stores c objects)"
umount_it || fail "umount"

# --- secrets ----------------------------------------------------------------

sed -i 's|^credentials = .*|credentials = env:PLURI_TEST_CRED|' "$ini"
PLURI_TEST_CRED=$(cat "$dir/s3.cred")
cred=$PLURI_TEST_CRED
export PLURI_TEST_CRED
"$pluri" apply "$ini" >"$dir/apply.out" 2>&1 || sed 's/^/# /' "$dir/apply.out"
check "mounted, credentials from the environment" mount_it
unset PLURI_TEST_CRED
check "they serve" wait_well 60
pid=$(daemon_pid)
tr '\0' ' ' </proc/$pid/cmdline >"$dir/cmdline.out"
"$pluri" status "$ini" --json >"$dir/status.out"
check "unmounted" umount_it
rm "$dir/s3.cred"
check "the secret is in no file of state, stores, logs, or output" \
	eval '! grep -raqF "$secret" "$dir"'
export PLURI_TEST_CRED=$cred # for the check at the end
done_testing
