#!/bin/bash
# badinput.sh - what is wrong is refused in one clear line: what, where, why,
# what to do; with exit status 1, and nothing changed.
. "$(dirname "$0")/lib.sh"

start_test
mkdir "$dir/a" "$dir/b"
secret=TopSecret-0f3c9a7e5b # must appear nowhere

# refused TEXT COMMAND WORD...: exit 1, one line of output, with each WORD
# (a regular expression) in it. COMMAND: words for pluri, split at blanks.
refused() {
	local text=$1 cmd=$2 word bad= status
	shift 2
	timeout 60 "$pluri" $cmd >"$dir/out" 2>&1
	status=$?
	[ $status = 1 ] || bad="exit status $status"
	[ "$(wc -l <"$dir/out")" = 1 ] || bad="$bad $(wc -l <"$dir/out") lines"
	for word in "$@"; do
		grep -qE -- "$word" "$dir/out" || bad="$bad no \"$word\""
	done
	[ -z "$bad" ] || note "$bad: $(head -n 3 "$dir/out")"
	check "$text" test -z "$bad"
}

good_ini() {
	volume_ini "$@"
	store_ini a local "$dir/a"
	store_ini b local "$dir/b"
}

# --- the INI ----------------------------------------------------------------

bad_ini() { # TEXT WORD...: the INI as it is now
	local text=$1
	shift
	refused "$text" "create $ini" "$@"
	[ ! -e "$state" ] && [ -z "$(ls -A "$dir/a" "$dir/b" |
		grep -v '^/\|^$\|:$')" ] && [ ! -e "$dir/volume.key" ] ||
		fail "$text: nothing is changed"
}

refused "no such INI" "create $dir/none.ini" none.ini
good_ini
echo 'this is no line' >>"$ini"
bad_ini "a line that is none" "vol.ini:$(wc -l <"$ini")"
good_ini
printf '\n[vlume]\nx = y\n' >>"$ini"
bad_ini "an unknown section" 'vol.ini:[0-9]+' vlume
good_ini 'cahce = 1G'
bad_ini "an unknown key" 'vol.ini:5' cahce 'cache'
good_ini
policy_ini 'layuot = mirror:2'
bad_ini "an unknown key of a policy" 'vol.ini:[0-9]+' layuot layout
volume_ini
printf '\n[store "a"]\nurl = %s\n' "$dir/a" >>"$ini"
bad_ini "a store without backend" 'vol.ini' '"a"' backend
volume_ini
printf '\n[store "a"]\nbackend = local\n' >>"$ini"
bad_ini "a store without url" 'vol.ini' '"a"' url
good_ini
store_ini a local "$dir/c"
bad_ini "a store twice" 'vol.ini:[0-9]+' '"?a"?'
good_ini 'cache = 10X'
bad_ini "a bad size" 'vol.ini:5' 10X
good_ini 'timeout = soon'
bad_ini "a bad duration" 'vol.ini:5' soon
good_ini
policy_ini 'layout = mirror:0'
bad_ini "a bad layout" 'mirror:0'
good_ini
policy_ini 'stores = a bb'
bad_ini "a policy with an unknown store" 'vol.ini:[0-9]+' bb
good_ini
policy_ini 'layout = mirror:3'
bad_ini "more copies than stores" default 3
good_ini
policy_ini 'layout = mirror:2' 'min_providers = 3'
bad_ini "more providers than there are" default providers
volume_ini
bad_ini "no store at all" store
good_ini
store_ini c nosuch "$dir/c"
bad_ini "a backend that is not there" nosuch
good_ini
printf 'access_key_id = x\nsecret_access_key = %s\n' $secret >"$dir/open.cred"
chmod 644 "$dir/open.cred"
store_ini c s3 http://127.0.0.1:9/x 'region = r' \
	"credentials = file:$dir/open.cred"
bad_ini "credentials that others may read" open.cred chmod
good_ini
store_ini c s3 http://127.0.0.1:9/x 'region = r' 'credentials = hunter2'
bad_ini "a secret instead of a reference" 'env:|file:|command:'
check "which is not repeated" test -z "$(grep hunter2 "$dir/out")"

# --- create and mount -------------------------------------------------------

good_ini
refused "mount: no such volume" "mount $ini $mnt" 'pluri create'
check "created" create
refused "create: twice" "create $ini" "$state|exists|already"
refused "mount: no mount point" "mount $ini $dir/none" "$dir/none"
touch "$dir/file"
refused "mount: on a file" "mount $ini $dir/file" 'not a directory'
mkdir "$dir/full" && touch "$dir/full/x"
refused "mount: not empty" "mount $ini $dir/full" 'not empty'
refused "mount: unknown option" "mount $ini $mnt -o alow_other" alow_other \
	allow_other
check "mounted" mount_it
echo content >"$mnt/file"
mkdir "$dir/mnt2"
refused "mount: twice in one place" "mount $ini $mnt" "$mnt"
refused "mount: mounted elsewhere" "mount $ini $dir/mnt2" \
	"$(daemon_pid)|$mnt"
check "still mounted" grep -q content "$mnt/file"
check "unmounted" umount_it

cp "$dir/volume.key" "$dir/right.key"
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$dir/other.key"
cp "$state/volume.db" "$dir/db.before"
cat "$dir/other.key" >"$dir/volume.key"
refused "mount: another key" "mount $ini $mnt" 'volume.key' key
echo nonsense >"$dir/volume.key"
refused "mount: not a key" "mount $ini $mnt" 'volume.key'
check "which is not repeated" test -z "$(grep nonsense "$dir/out")"
rm "$dir/volume.key"
refused "mount: no key" "mount $ini $mnt" 'volume.key'
check "and no new one is made" test ! -e "$dir/volume.key"
cp -p "$dir/right.key" "$dir/volume.key"
chmod 644 "$dir/volume.key"
refused "mount: a key that others may read" "mount $ini $mnt" chmod
chmod 600 "$dir/volume.key"

user_version() { # GET-OR-SET PRAGMA of the database
	python3 -c '
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
print(c.execute("PRAGMA user_version" + sys.argv[2]).fetchone() or "")
c.commit()' "$state/volume.db" "${1-}"
}
version=$(user_version | tr -dc 0-9)
user_version " = $((version + 1))" >/dev/null
refused "mount: a newer schema" "mount $ini $mnt" \
	'newer|version|schema' 'volume.db|plurifs'
user_version " = $version" >/dev/null

head -c 8192 /dev/urandom >"$dir/garbage"
mv "$state/volume.db" "$dir/db.kept"
cp "$dir/garbage" "$state/volume.db"
refused "mount: a database that is none" "mount $ini $mnt" 'volume.db'
mv "$dir/db.kept" "$state/volume.db"

mkdir "$dir/plugins"
plugins=$(dirname "$pluri")/backends
export PLURI_PLUGINS=$dir/plugins
cp "$dir/garbage" "$dir/plugins/pluri-local.so"
refused "mount: a plugin that is none" "mount $ini $mnt" 'pluri-local.so'
unset PLURI_PLUGINS

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
if [ "$(id -u)" = 0 ] && as_nobody test -x "$pluri"; then
	as_nobody "$pluri" mount "$ini" "$mnt" >"$dir/out" 2>&1
	check "mount: a state directory of another" test $? = 1
	check "it says so" grep -q "$state.*ermission" "$dir/out"
fi
check "all is well after that" eval 'mount_it && grep -q content "$mnt/file"'
umount_it

# --- a full disk ------------------------------------------------------------

if mkdir "$dir/small" && mount -t tmpfs -o size=300k none "$dir/small" \
	2>/dev/null; then
	mounts+=("$dir/small")
	mkdir "$dir/sa" "$dir/sb"
	state=$dir/small/state
	volume_ini
	store_ini a local "$dir/sa"
	store_ini b local "$dir/sb"
	head -c 290k /dev/zero >"$dir/small/ballast"
	refused "create: no space" "create $ini" 'full|pace'
	rm -rf "$dir/small"/* "$dir/sa" "$dir/sb"
	mkdir "$dir/sa" "$dir/sb"
	mount -o remount,size=120M "$dir/small"
	check "created on a small disk" create
	check "mounted" mount_it
	head -c 1M /dev/urandom >"$dir/m1"
	check "written" dd if="$dir/m1" of="$mnt/m1" conv=fsync status=none
	check "safe" wait_well 60
	avail=$(df -k --output=avail "$dir/small" | tail -n 1)
	head -c $((avail - 200))k /dev/zero >"$dir/small/ballast"
	dd if=/dev/urandom of="$mnt/m2" bs=1M count=4 conv=fsync \
		>"$dir/out" 2>&1
	check "a full disk tells of no space" grep -q 'No space left' "$dir/out"
	check "what was there is readable" cmp "$dir/m1" "$mnt/m1"
	check "status answers" eval '"$pluri" status "$ini" >"$dir/out" 2>&1
		[ $? -le 2 ] && grep -q pending "$dir/out"'
	rm "$dir/small/ballast"
	kill_daemon
	unmount_dead
	check "with space again it mounts" mount_it
	check "and all is right" cmp "$dir/m1" "$mnt/m1"
	check "and takes writes" eval 'rm -f "$mnt/m2" &&
		dd if="$dir/m1" of="$mnt/m3" conv=fsync status=none &&
		cmp "$dir/m1" "$mnt/m3"'
	umount_it
	# few synced bytes are rows of the log, which a full disk does not take
	mount -o remount,size=160M "$dir/small"
	check "mounted for small writes" mount_it
	cat >"$dir/few.py" <<-'EOS'
	import errno, os, sys
	mnt, small = sys.argv[1:]
	def free():
	    s = os.statvfs(small)
	    return s.f_bavail * s.f_bsize
	for i in range(50):
	    open(mnt + "/n%d" % i, "w").close()
	f = os.open(mnt + "/few", os.O_CREAT | os.O_RDWR)
	os.pwrite(f, os.urandom(4000), 0)
	os.fsync(f)
	b = os.open(small + "/ballast", os.O_CREAT | os.O_WRONLY)
	os.posix_fallocate(b, 0, free() - (14 << 20))
	try:
	    for i in range(100000):
	        os.pwrite(f, os.urandom(4000), i % 50 * 4000)
	        os.fsync(f)
	    sys.exit("the disk never was full")
	except OSError as e:
	    assert e.errno == errno.ENOSPC, e
	d = os.open(mnt, os.O_RDONLY)
	for i in range(3):
	    os.unlink(mnt + "/n%d" % i)
	    os.fsync(d)
	os.unlink(small + "/ballast")
	os.close(b)
	for i in range(3):
	    open(mnt + "/new%d" % i, "w").close()
	os.fsync(d)
	EOS
	check "small writes fill it, and others go on" \
		python3 "$dir/few.py" "$mnt" "$dir/small"
	check "unmounted, nothing broken" umount_it
	kill_daemon
	umount "$dir/small"
else
	note "no tmpfs may be mounted here: the full disk is left out"
fi

# --- clouds -----------------------------------------------------------------

state=$dir/state2
s3_ini() { # URL
	volume_ini 'timeout = 10s'
	store_ini a local "$dir/a2"
	store_ini c s3 "$1" 'region = us-east-1' \
		"credentials = file:$dir/s3.cred"
	policy_ini 'layout = mirror:2'
}
rm -rf "$dir/a2"
mkdir "$dir/a2"
s3_credentials "$dir/s3.cred" $secret

s3_ini http://127.0.0.1:9/bucket
refused "S3: refused connection" "create $ini" 'store c' 127.0.0.1:9
check "S3: and nothing is left on the other store" \
	test -z "$(ls -A "$dir/a2")"

# A server that answers rubbish, on a port of its own.
python3 -u -c '
import http.server, os
class H(http.server.BaseHTTPRequestHandler):
    def rubbish(self):
        n = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(n)
        body = b"<html>" + os.urandom(3000)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = rubbish
    def log_message(self, *a): pass
s = http.server.HTTPServer(("127.0.0.1", 0), H)
print(s.server_port)
s.serve_forever()' >"$dir/rubbish.port" &
children+=($!)
check "a server of rubbish" wait_for 60 test -s "$dir/rubbish.port"
s3_ini "http://127.0.0.1:$(cat "$dir/rubbish.port")/bucket"
refused "S3: rubbish for answers" "create $ini" 'store c'
rm -rf "$state"

if have_swift; then
	start_swift || bail "Swift does not start"
	s3_ini "http://127.0.0.1:$port/pluri/v"
	refused "S3: wrong credentials" "create $ini" 'store c' credentials
	check "S3: which is not called down" \
		test -z "$(grep -iw down "$dir/out")"
	s3_credentials "$dir/s3.cred"
	s3_ini "http://127.0.0.1:$port/nosuchbucket/v"
	refused "S3: no such bucket" "create $ini" 'store c' 'bucket is missing'
	s3_ini "http://127.0.0.1:$port/pluri/v"
	check "S3: created" create
	check "S3: mounted" mount_it
	echo content >"$mnt/file"
	check "S3: well" wait_well 60
	s3_credentials "$dir/s3.new" $secret
	mv "$dir/s3.new" "$dir/s3.cred"
	umount_it
	check "S3: mounted with wrong credentials" mount_it
	class_told() { status_exit 1 && store_error c credentials; }
	check "S3: status says credentials, exit 1" wait_for 60 class_told
	check "S3: and what the other store has is read" \
		eval 'forget; grep -q content "$mnt/file"'
	# what shows in a list of processes
	tr '\0' ' ' <"/proc/$(daemon_pid)/cmdline" >"$dir/cmdline.out"
	tr '\0' ' ' <"/proc/$(daemon_pid)/environ" >>"$dir/cmdline.out"
	s3_credentials "$dir/s3.cred"
	check "S3: with the right ones all heals" wait_well 90
	umount_it
else
	note "Swift is not installed: its refusals are left out"
fi

# --- another volume's place -------------------------------------------------

state=$dir/state3
mkdir "$dir/b3"
volume_ini
sed -i 's/^name = .*/name = other/; s/volume\.key/other-volume.key/' "$ini"
store_ini a local "$dir/a"
store_ini b local "$dir/b3"
(cd "$dir/a" && find . -type f -exec sha256sum {} + | sort) >"$dir/before"
refused "create: another volume's store" "create $ini" 'store a' \
	'already holds a volume'
(cd "$dir/a" && find . -type f -exec sha256sum {} + | sort) >"$dir/after"
check "its bytes are untouched" cmp "$dir/before" "$dir/after"
check "and nothing is claimed elsewhere" test -z "$(ls -A "$dir/b3")"

# A volume that finds another's descriptor where its own was.
state=$dir/state
good_ini
mkdir "$dir/foreign"
mv "$dir/a/pluri-volume" "$dir/foreign/"
state=$dir/state4
mkdir "$dir/a4" "$dir/b4"
volume_ini
sed -i 's/^name = .*/name = fourth/; s/volume\.key/fourth.key/' "$ini"
store_ini a local "$dir/a4"
store_ini b local "$dir/b4"
check "another volume is made" create
cp "$dir/a4/pluri-volume" "$dir/a/pluri-volume"
state=$dir/state
good_ini
(cd "$dir/a" && find . -type f -exec sha256sum {} + | sort) >"$dir/before"
mount_it >"$dir/out" 2>&1
foreign_told() { status_exit 2 && store_error a foreign; }
check "status is critical: foreign" wait_for 60 foreign_told
echo more >"$mnt/more"
sync "$mnt/more"
check "what the other store has is read" grep -q content "$mnt/file"
"$pluri" umount --no-wait "$mnt" >"$dir/out" 2>&1
wait_for 60 no_daemon
(cd "$dir/a" && find . -type f -exec sha256sum {} + | sort) >"$dir/after"
check "the foreign store is untouched" cmp "$dir/before" "$dir/after"

# --- secrets ----------------------------------------------------------------

rm -f "$dir/open.cred" "$dir/s3.cred"
check "the secret is nowhere" eval '! grep -raqF "$secret" "$dir"'
hexkey=$(tr -d "[:space:]" <"$dir/right.key")
rm -f "$dir/right.key" "$dir/volume.key"
check "neither is the key" eval '! grep -raqF "$hexkey" "$dir"'
(umask 077 && echo "$hexkey" >"$dir/volume.key") # for the check at the end
done_testing
