#!/bin/bash
# guard.sh - what lies somewhere else than it should is left alone: disks that
# were exchanged, local packs that are not mounted, a database that is gone.
. "$(dirname "$0")/lib.sh"

start_test
mkdir "$dir/a" "$dir/b" "$dir/c"
volume_ini
store_ini a local "$dir/a"
store_ini b local "$dir/b"
store_ini c local "$dir/c"
policy_ini 'layout = mirror:2' 'pack = 1M'
check "created" create
check "mounted" mount_it
for i in 1 2 3 4 5 6; do
	head -c 1200000 /dev/urandom >"$dir/f$i"
	cp "$dir/f$i" "$mnt/"
done
check "status 0, no debt" wait_well 60
all_right() {
	local i
	for i in 1 2 3 4 5 6; do cmp "$dir/f$i" "$mnt/f$i" || return 1; done
}
before=$(find "$dir/a" "$dir/b" -type f -name '*-0?' | wc -l)

# --- two disks change places over a boot ------------------------------------

swap() { mv "$dir/a" "$dir/x" && mv "$dir/b" "$dir/a" && mv "$dir/x" "$dir/b"; }
check "unmounted" umount_it
swap
check "mounted with two disks exchanged" mount_it
"$pluri" drain "$ini" b --background >"$dir/drain.out" 2>&1
check "exchanged disks are told" wait_for 60 store_error b foreign
check "both of them" wait_for 60 store_error a foreign
check "status is critical" wait_for 60 status_exit 2
check "no object was deleted" test \
	"$(find "$dir/a" "$dir/b" -type f -name '*-0?' | wc -l)" = $before
check "unmounted as it is" "$pluri" umount --no-wait "$mnt"
wait_for 60 no_daemon
swap
check "mounted with the disks in place" mount_it
drained() { [ "$(status_get stores b state)" = drained ]; }
check "the drain goes on and ends" wait_for 90 drained
check "its store is empty" test "$(objects_in "$dir/b")" = 0
check "local copies dropped" forget
check "every byte is right" all_right
check "unmounted" umount_it

# --- local packs that are not there -----------------------------------------

check "mounted" mount_it
mv "$dir/a" "$dir/a.away" && mv "$dir/c" "$dir/c.away"
head -c 700000 /dev/urandom >"$dir/only"
cp "$dir/only" "$mnt/only" && "$helpers/timedread" "$mnt/only" >/dev/null
python3 -c 'import os,sys; os.fsync(os.open(sys.argv[1], os.O_RDWR))' \
	"$mnt/only"
check "fsynced while no store is there" test $? = 0
kill_daemon
unmount_dead
mv "$state/packs" "$dir/packs.away"
check "mounted without the local packs" mount_it
check "which is critical" wait_for 60 status_exit 2
kill_daemon
unmount_dead
rm -rf "$state/packs" && mv "$dir/packs.away" "$state/packs"
mv "$dir/a.away" "$dir/a" && mv "$dir/c.away" "$dir/c"
check "mounted with them" mount_it
check "the only copy was not removed" cmp "$dir/only" "$mnt/only"
check "and goes to the stores" wait_well 60
check "local copies dropped" forget
check "from there it is right" cmp "$dir/only" "$mnt/only"
check "unmounted" umount_it

# --- the database is gone ---------------------------------------------------

mv "$state/volume.db" "$dir/db.away"
"$pluri" mount "$ini" "$mnt" >"$dir/out" 2>&1
check "a lost database is refused" test $? = 1
check "and nobody is told to make the volume anew" \
	grep -q "restore it from a backup" "$dir/out"
mv "$dir/db.away" "$state/volume.db"
sed -i 's/^name = .*/name = another/' "$ini"
"$pluri" mount "$ini" "$mnt" >"$dir/out" 2>&1
check "another volume's name is refused" test $? = 1
check "with both names" grep -q "another" "$dir/out"
sed -i "s/^name = .*/name = sys-$name/" "$ini"

done_testing
