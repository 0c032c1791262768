#!/bin/bash
# conform.sh - tens of thousands of assertions on what POSIX and Linux promise,
# as root and as three ordinary users: first on the local disk, where every one
# of them has to hold, then on a mount; and what they left, after a remount.
#
#   conform.sh passthrough   the same on libfuse's passthrough_ll, built here
#                            from its packaged source: what FUSE itself refuses
. "$(dirname "$0")/lib.sh"

start_test
[ "$(id -u)" = 0 ] || skip_all "not root: it acts as several users"
shm=$(mktemp -d /dev/shm/plurifs-conform-XXXXXX) && export shm ||
	bail "no second filesystem"
leave() {
	local status=$?
	rm -rf "$shm"
	(exit $status)
	finish
}
trap leave EXIT

# conform LABEL ARG...: its lines as TAP
conform() {
	local word text status label=$1
	shift
	"$helpers/conform" "$@" >"$dir/conform.out" 2>&1
	status=$?
	while read -r word text; do
		case $word in
		RIGHT) pass "$label: $text" ;;
		WRONG) fail "$label: $text" ;;
		*) echo "$word $text" ;;
		esac
	done <"$dir/conform.out"
	check "$label: ended" test $status -le 1
}

if [ "${1-}" = passthrough ]; then
	from=/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c
	[ -e $from ] || skip_all "$from is not installed"
	# shellcheck disable=SC2046 # flags, one word each
	cc -O2 -w "$from" -o "$dir/pt" $(pkg-config --cflags --libs fuse3) ||
		bail "passthrough_ll does not compile"
	mkdir "$dir/source"
	"$dir/pt" -o "source=$dir/source,allow_other,default_permissions,xattr${OPT-}" \
		"$mnt" || bail "passthrough_ll does not mount"
	mkdir "$mnt/c"
	conform passthrough_ll "$mnt/c" "$shm"
	fusermount3 -u "$mnt"
	done_testing
	exit
fi

mkdir "$dir/local"
conform "local disk" "$dir/local" "$shm"
if mount --bind "$dir/local" "$mnt" && mount -o remount,bind,ro "$mnt"; then
	conform "local disk" -r "$mnt"
	umount "$mnt"
else
	note "no bind mounts: the local disk is not asked when read-only"
fi

two_stores 'cache = 1G' -- 'pack = 4M'
create || bail "create"
check "mounted" mount_it -o allow_other
mkdir "$mnt/c"
conform mount "$mnt/c" "$shm"
sum_tree "$mnt/c" "$dir/c.sum"
check "remounted" eval 'umount_it && mount_it -o allow_other'
check "what it left is still so" same_tree "$dir/c.sum" "$mnt/c"
check "mounted read-only" eval 'umount_it && mount_it -o allow_other,ro'
conform mount -r "$mnt/c"
check "unmounted" umount_it
done_testing
