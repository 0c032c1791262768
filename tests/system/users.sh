#!/bin/bash
# users.sh - who may do what on a mount, and what its options change: an
# ordinary user's mount, others on it, set-user-id and devices, names of the
# mount that are not ours. (The matrix of modes and users is conform.sh's.)
. "$(dirname "$0")/lib.sh"

# Where only root opens /dev/fuse, a namespace of ours has one for all.
user_fuse() { setpriv --reuid=30001 --regid=30001 --clear-groups \
	sh -c ': <>/dev/fuse' 2>/dev/null; }
if [ "$(id -u)" = 0 ] && [ -c /dev/fuse ] && ! user_fuse &&
	[ -z "${USERS_APART-}" ] && unshare -m true 2>/dev/null; then
	USERS_APART=yes exec unshare -m "$0" "$@"
fi

start_test
if [ -n "${USERS_APART-}" ]; then
	mknod -m 666 "$dir/fuse" c 10 229 && mount --bind "$dir/fuse" /dev/fuse
fi
[ "$(id -u)" = 0 ] || skip_all "not root: it acts as several users"
command -v setpriv >/dev/null || bail "setpriv is missing"

two_stores 'cache = 1G'
check "created" create

is() { # TEXT WANTED GOT
	[ "$2" = "$3" ] || note "wanted \"$2\", got \"$3\""
	check "$1" test "$2" = "$3"
}
as() { # UID COMMAND...
	local uid=$1
	shift
	setpriv --reuid="$uid" --regid="$uid" --clear-groups "$@"
}
quiet() { "$@" >/dev/null; }
fails() { ! "$@" 2>/dev/null; }
line() { grep -F " $mnt " /proc/self/mountinfo | tail -n 1; }
atime() { stat -c %X "$1"; }
gatherers() { # threads that copy in the background
	cat /proc/"$(daemon_pid)"/task/*/comm | grep -xE 'merge|repack' |
		sort | tr '\n' ' '
}

# --- others ------------------------------------------------------------------

check "mounted for its owner alone" mount_it
echo text >"$mnt/f" && chmod 777 "$mnt" && chmod 666 "$mnt/f"
check "others do not get in" fails as 30001 ls "$mnt"
check "others do not read" fails as 30001 cat "$mnt/f"
check "unmounted" umount_it
check "mounted for all" mount_it -o allow_other
is "others read" text "$(as 30001 cat "$mnt/f")"
check "others make" as 30001 touch "$mnt/theirs"
is "and own it" 30001:30001 "$(stat -c %u:%g "$mnt/theirs")"
check "others have no access to what is closed" eval '
	chmod 600 "$mnt/f" && fails as 30001 cat "$mnt/f" &&
	fails as 30001 sh -c "echo x >>$mnt/f"'

# --- options -----------------------------------------------------------------

cp "$(command -v id)" "$mnt/id" && chown 30002 "$mnt/id" && chmod 4755 "$mnt/id"
mknod -m 666 "$mnt/null" c 1 3
is "set-user-id is off for a start" 30001 "$(as 30001 "$mnt/id" -u)"
check "devices are off for a start" fails as 30001 cat "$mnt/null"
check "again, with both" eval 'umount_it && mount_it -o allow_other,suid,dev'
is "-o suid" 30002 "$(as 30001 "$mnt/id" -u)"
check "-o dev" as 30001 cat "$mnt/null"
check "again, with noexec" eval 'umount_it && mount_it -o allow_other,noexec'
check "-o noexec" fails "$mnt/id"
is "what is garbage is collected, and pieces put together" "merge repack " \
	"$(gatherers)"
touch -a -d @1000 "$mnt/f"
check "again, read-only" eval 'umount_it && mount_it -o allow_other,ro'
check "-o ro: nothing changes" eval 'fails touch "$mnt/new" &&
	fails rm -f "$mnt/f" && fails sh -c "echo x >>$mnt/f" &&
	fails chmod 777 "$mnt/f"'
is "-o ro: it is read" text "$(cat "$mnt/f")"
is "-o ro: neither of these" "" "$(gatherers)"
check "again, with noatime" eval 'umount_it && mount_it -o noatime'
is "-o ro: no time of access" 1000 "$(atime "$mnt/f")"
touch -a -d @1000 "$mnt/f" && cat "$mnt/f" >/dev/null
is "-o noatime" 1000 "$(atime "$mnt/f")"
check "remounted with relatime" eval 'umount_it && mount_it'
touch -a -d @1000 "$mnt/f" && cat "$mnt/f" >/dev/null
check "without it, an old time of access is renewed" \
	test "$(atime "$mnt/f")" -gt 1000
check "an option that is none" fails mount_it -o allow_othr
check "unmounted" umount_it

# --- other names of the mount ------------------------------------------------

for names in fsname=some:thing subtype=other fsname=x,subtype=y; do
	check "mounted with $names" mount_it -o "$names"
	note "$(line | sed 's/.* - //')"
	is "$names: it says so" 1 "$(line | grep -cE 'some:thing|fuse.other|fuse.y x')"
	check "$names: the volume of a path is found" \
		quiet "$pluri" where "$mnt/f"
	check "$names: sync" quiet "$pluri" sync "$mnt"
	check "$names: unmounted" eval 'umount_it && no_daemon && not_mounted'
done
check "its INI's path cannot be set" eval 'mount_it &&
	fails setfattr -n user.pluri.config -v x "$mnt/f" && umount_it'

# --- an ordinary user's mount ------------------------------------------------

tool=$(command -v fusermount3)
# fusermount3 wants a name for the user: "nobody" has one
if ! [ -u "$tool" ] || ! user_fuse || ! getent passwd 65534 >/dev/null; then
	note "left out: an ordinary user cannot mount here ($tool, /dev/fuse)"
else
	home=$dir/home
	mkdir -m 755 "$home" "$home/mnt"
	ini=$home/vol.ini state=$home/state mnt=$home/mnt
	mounts+=("$mnt")
	dir=$home two_stores
	chown -R 65534:65534 "$home"
	user() { as 65534 env HOME="$home" "$@"; }
	check "user: created" quiet user "$pluri" create "$ini"
	check "user: mounted" user "$pluri" mount "$ini" "$mnt"
	check "user: a file" user sh -c "echo mine >$mnt/f"
	is "user: it is his" 65534:65534 "$(user stat -c %u:%g "$mnt/f")"
	check "user: neither root nor others get in" eval '
		fails quiet ls "$mnt" && fails quiet as 30002 ls "$mnt"'
	check "user: he gives nothing away" fails user chown 0 "$mnt/f"
	check "user: no devices" fails user mknod "$mnt/null" c 1 3
	check "user: status" quiet user "$pluri" status "$ini"
	check "user: unmounted" quiet user "$pluri" umount "$mnt"
	check "user: mounted under another name" \
		user "$pluri" mount "$ini" "$mnt" -o fsname=mine
	is "user: what was written is there" mine "$(user cat "$mnt/f")"
	check "user: and unmounted" quiet user "$pluri" umount "$mnt"
	if grep -q '^user_allow_other' /etc/fuse.conf 2>/dev/null; then
		note "left out: here users may let others in"
	else
		check "user: he may not let others in" \
			fails user "$pluri" mount "$ini" "$mnt" -o allow_other
	fi
fi
done_testing
