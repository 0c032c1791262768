#!/bin/bash
# behind.sh - clouds that fall behind: what waits for them on this machine is
# bounded, one store may be away all the same, and "no space" ends when they
# are back.
. "$(dirname "$0")/lib.sh"

BOUND_MB=256 # with cache = 0

start_test
volume_ini 'cache = 0' 'timeout = 2s'
for s in a b; do
	mkdir "$dir/$s"
	: >"$dir/fault.$s"
	store_ini $s fault "fault:local:$dir/$s" "fault_file = $dir/fault.$s"
done
policy_ini 'layout = mirror:2' 'pack_age = 1s'

fault() { # STORE [LINE]
	printf '%s\n' "${2-}" >"$dir/fault.new"
	mv "$dir/fault.new" "$dir/fault.$1"
}
noise() { head -c "$1"M /dev/urandom; }
says() { # its exit code tells how it is
	"$pluri" status "$ini" >"$dir/status.out" 2>&1
	grep -q "$1" "$dir/status.out"
}
put() { # NAME MB: with what fsync says
	noise "$2" >"$dir/$1"
	dd if="$dir/$1" of="$mnt/$1" bs=1M conv=fsync 2>"$dir/dd.err"
}

check "created" create
check "mounted" mount_it

fault b 'error EAGAIN op=put'
check "one store is away: more than the bound is written" \
	put one $((BOUND_MB + 64))
check "and nobody is told to wait" eval '! says "writes wait"'

fault a 'error EAGAIN op=put'
check "both are away: some is written" put some 48
check "it is in memory, or on the disk" cmp "$dir/some" "$mnt/some"
check "more than the bound is refused" eval '! put more $((BOUND_MB + 160))'
check "with the reason" grep -q 'No space left' "$dir/dd.err"
note "$(tail -n 1 "$dir/dd.err")"
check "status says it" says 'no space'
check "stats tell how long writes waited" eval \
	'"$pluri" stats "$ini" | grep -q "writes waited [1-9]"'
began=$(now_ms)
check "the next is refused as well" eval '! put next 1'
check "and does not wait for it" test $(($(now_ms) - began)) -lt 5000
check "names may be made" mkdir "$mnt/dir"
check "what was written is there" cmp "$dir/some" "$mnt/some"
staged=$(du -sm "$state/packs" | cut -f1)
note "$staged MB wait, of them $((BOUND_MB + 64)) for b alone"
check "no more than the bound waits" test $((staged - BOUND_MB - 64)) -le \
	$((BOUND_MB + 128)) # and what was in memory, or open

fault a
fault b
check "they are back: all is sent" wait_well 120
check "writing goes on" put again 16
check "all of it is well" eval 'for f in one some again; do
	cmp "$dir/$f" "$mnt/$f" || exit 1; done'
check "unmounted" umount_it
done_testing
