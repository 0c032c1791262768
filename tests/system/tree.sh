#!/bin/bash
# tree.sh - a real tree on two directories and a real S3 server, two copies of
# everything: the same after unmount and mount, without local copies, and with
# any one of the three stores away.
. "$(dirname "$0")/lib.sh"

start_test
orig=$dir/orig
volume_ini 'timeout = 5s' 'cache = 2G'
mkdir "$dir/a" "$dir/b"
store_ini a local "$dir/a"
store_ini b local "$dir/b"
if have_swift; then
	start_swift || bail "Swift does not start"
	s3_credentials "$dir/s3.cred"
	store_ini c s3 "http://127.0.0.1:$port/pluri/volume" \
		'region = us-east-1' "credentials = file:$dir/s3.cred"
else
	note "Swift is not installed: the third store is a directory"
	mkdir "$dir/c"
	store_ini c local "$dir/c"
fi
policy_ini 'layout = mirror:2' 'pack = 4M'

# --- the tree ---------------------------------------------------------------

odd_names() { # DIR
	mkdir "$1" && cd "$1" || return 1
	echo newline >$'a\nb'
	echo control >$'\001\033[31m\177'
	echo latin >$'caf\xe9'
	echo broken >$'\xff\xfe\xc3'
	echo utf >$'\xe6\x97\xa5\xe6\x9c\xac'
	echo space >' lead and trail '
	echo glob >'*?[x]$(id)`id`;&|"'"'"
	echo dash >-rf
	echo dots >...
	echo long >"$(printf 'n%.0s' {1..255})"
	mkdir "$(printf 'd%.0s' {1..255})"
	: >empty
	ln -s "$(printf 's%.0s' {1..4000})" long-link
	ln -s $'to\nnewline\xff' odd-link
	ln -s nowhere dangling
	echo many >one
	ln one two
	ln one "$(printf 'd%.0s' {1..255})/three"
	mkfifo fifo
	chmod 4751 one
	[ "$(id -u)" != 0 ] || chmod 000 empty
	mkdir sticky && chmod 3777 sticky
	touch -d '1969-12-31 12:34:56.123456789' dots.old 2>/dev/null
	touch -d '2106-03-04 05:06:07.000000001' dots.new
	touch -h -d '2001-02-03 04:05:06.7' dangling
	python3 -c '
import os
os.setxattr("one", "user.one", b"some value")
os.setxattr("two", "user.empty", b"")
os.setxattr("d" * 255, "user.bin", b"\\0\\xff\\0")'
	truncate -s 20M sparse
	printf end | dd of=sparse bs=1 seek=20971517 conv=notrunc status=none
	cd "$dir"
}

make_tree() {
	local t n=0
	mkdir "$orig" || return 1
	for t in /usr/include /usr/share/doc /usr/share/perl /usr/lib/git-core \
		/usr/share/zoneinfo /usr/share/locale; do
		[ -d $t ] && [ $n -lt 2 ] || continue
		n=$((n + 1))
		mkdir -p "$orig$t"
		# a bounded part of it
		(cd $t && find . | head -n 4000 |
			tar -cf - --no-recursion -T - | tar -C "$orig$t" -xf -)
	done
	odd_names "$orig/odd"
	{ # parts that compress well, badly, and not at all
		head -c 100M /dev/urandom
		yes 'the quick brown fox' | head -c 100M
		head -c 25M /dev/urandom | base64 -w 0 | head -c 30M
		head -c 70M /dev/zero
	} >"$orig/big"
}

make_tree
note "$(find "$orig" -type f | wc -l) files," \
	"$(find "$orig" -type l | wc -l) links, $(du -sm "$orig" | cut -f1) MiB"
sum_tree "$orig" "$dir/orig.sum" || bail "the original cannot be read"

# --- there and back ---------------------------------------------------------

check "created" create
check "mounted" mount_it
check "copied" cp -a "$orig/." "$mnt/"
check "equal at once" same_tree "$dir/orig.sum" "$mnt"
check "unmounted, all of it in the clouds" umount_it
check "the daemon is gone" no_daemon
check "mounted again" mount_it
check "status 0, no debt" wait_well 120
check "equal after a mount" same_tree "$dir/orig.sum" "$mnt"
check "local copies dropped" forget
check "no local pack is left" test "$(status_get cache packs)" = 0
check "equal from the clouds" same_tree "$dir/orig.sum" "$mnt"

# --- each store away in turn ------------------------------------------------

away() { # STORE
	if [ $1 = c ] && [ -n "${swift-}" ]; then
		stop_swift
	else
		mv "$dir/$1" "$dir/$1.away"
	fi
}

back() { # STORE
	if [ $1 = c ] && [ -n "${swift-}" ]; then
		start_swift
	else
		mv "$dir/$1.away" "$dir/$1"
	fi
}

write_more() { # STORE
	mkdir "$1/more-$2" &&
	head -c 9M "$orig/big" >"$1/more-$2/cut" &&
	cp -a "$orig/odd/." "$1/more-$2/odd" 2>/dev/null &&
	mv "$1/more-$2/odd/..." "$1/more-$2/moved" &&
	rm "$1/more-$2/odd/one"
}

degraded() { # STORE: exit 1, the store's class, and no other's
	local other
	status_exit 1 && store_error $1 down || return 1
	for other in a b c; do
		[ $other = $1 ] || store_error $other none || return 1
	done
}

for s in a b c; do
	check "$s: all well before" wait_well 120
	check "$s: local copies dropped" forget
	check "$s: goes away" away $s
	check "$s: equal without it" same_tree "$dir/orig.sum" "$mnt"
	check "$s: status tells of it, exit 1" wait_for 60 degraded $s
	write_more "$orig" $s
	check "$s: written without it" write_more "$mnt" $s
	# times of what both made on their own differ
	for t in "more-$s" "more-$s/cut" "more-$s/odd"; do
		touch -r "$orig/$t" "$mnt/$t"
	done
	touch -r "$orig/more-$s" "$mnt/more-$s"
	sum_tree "$orig" "$dir/orig.sum"
	check "$s: equal with what is new" same_tree "$dir/orig.sum" "$mnt"
	check "$s: comes back" back $s
	check "$s: status 0, no debt" wait_well 120
	check "$s: local copies dropped again" forget
	check "$s: equal with it" same_tree "$dir/orig.sum" "$mnt"
done
check "unmounted at last" umount_it
done_testing
