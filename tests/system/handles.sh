#!/bin/bash
# handles.sh - file handles, as an NFS server keeps them: they open the same
# object after caches were dropped, names changed, and the volume was mounted
# again; and nothing once it is deleted, whatever took its number.
#
# Neither the kernel's NFS server nor its client is needed for that, so it runs
# on kernels without them, too.
. "$(dirname "$0")/lib.sh"

start_test
[ "$(id -u)" = 0 ] || skip_all "not root: nobody else opens by handle"
two_stores 'cache = 1G'
check "created" create
check "mounted" mount_it
h() { "$helpers/handles" "$1" "$mnt" "$dir/$2" "${@:3}"; }

cd "$mnt" || exit
mkdir -p d/e/f/g empty many
for n in top d/one d/e/f/deep; do
	yes "${n##*/}" | head -c 100000 >$n
done
for i in $(seq 300); do echo "file$i" >"many/file$i"; done
: >none && ln -s d soft && mkfifo d/fifo && ln d/one hard
cd "$dir" || exit
all="top d/one d/e/f/deep none soft d/fifo d d/e d/e/f d/e/f/g empty many"
# shellcheck disable=SC2046,SC2086 # names without blanks
check "taken" h take all . $all $(cd "$mnt" && echo many/*)
if ! [ -s "$dir/all" ]; then
	umount_it
	skip_all "this kernel gives no handles for FUSE"
fi
check "opened" h open all
check "opened with the kernel's caches dropped" eval 'forget_kernel && h open all'
check "opened after a remount" eval 'umount_it && mount_it && h open all'
# deepest first: its directories are found by ".." alone
check "opened after a remount, the other way round" eval 'umount_it &&
	mount_it && tac "$dir/all" >"$dir/back" && h open back'
check "the same handles as before" eval 'h take again . $all &&
	[ "$(head -n 13 "$dir/all")" = "$(cat "$dir/again")" ]'
mv "$mnt/d" "$mnt/moved" && mv "$mnt/moved/e" "$mnt/e"
mv "$mnt/top" "$mnt/e/f/top"
check "opened after renames" h open all
check "opened after renames and a remount" eval 'umount_it && mount_it &&
	h open all'
check "opened after a kill" eval '"$pluri" sync "$mnt" >/dev/null &&
	kill_daemon && unmount_dead && mount_it && h open all'

grep -E '^(top|d/e|d/e/f|d/e/f/deep|d/e/f/g|none|many/file1.*) ' "$dir/all" \
	>"$dir/gone"
grep -vE '^(top|d/e|d/e/f|d/e/f/deep|d/e/f/g|none|many/file1.*) ' \
	"$dir/all" >"$dir/left"
rm -r "$mnt/e" "$mnt/none" "$mnt"/many/file1*
check "deleted: stale" h stale gone
check "the rest is opened" h open left
for i in $(seq 300); do echo x >"$mnt/many/new$i"; done
mkdir "$mnt/e"
check "deleted and others made: stale" h stale gone
check "stale after a remount, too" eval 'umount_it && mount_it && h stale gone'
check "and the rest is opened" h open left
if grep -qw nfsd /proc/filesystems || modprobe -q nfsd 2>/dev/null; then
	note "this kernel has an NFS server; exports need fsid= for FUSE"
else
	note "no NFS server in this kernel: handles are all that is asked"
fi
check "unmounted" umount_it
done_testing
