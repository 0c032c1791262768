#!/bin/bash
# acl.sh - access control lists: every step is taken in a directory of the
# local disk as well, and what getfacl, stat and the users say must be equal;
# lists that are none; and copies by cp, tar and rsync there and back.
. "$(dirname "$0")/lib.sh"

start_test
[ "$(id -u)" = 0 ] || skip_all "not root: it acts as several users"
for tool in setfacl getfacl setpriv rsync; do
	command -v $tool >/dev/null || bail "$tool is missing"
done
mkdir "$dir/local"
touch "$dir/local/try" && setfacl -m u:1:r "$dir/local/try" 2>/dev/null ||
	skip_all "the local disk has no access control lists to compare with"
rm "$dir/local/try"

two_stores 'cache = 1G'
check "created" create
check "mounted" mount_it -o allow_other
mkdir "$mnt/w"

as() { # UID[:GROUP] COMMAND...
	local uid=${1%:*} groups=--clear-groups
	[ "$1" = "$uid" ] || groups=--groups=${1#*:}
	shift
	setpriv --reuid="$uid" --regid="$uid" "$groups" "$@"
}

# What there is to see, without what differs lawfully: times, inodes.
seen() {
	find . -printf '%p %M %U:%G %y %l\n' | LC_ALL=C sort
	find . ! -type l -print0 | LC_ALL=C sort -z | xargs -0 getfacl -pnE 2>&1
	find . ! -type l -print0 | LC_ALL=C sort -z |
		xargs -0 getfattr -h -m '^system\.posix' -e hex -d 2>&1 |
		grep -v '^$'
}

# both TEXT SCRIPT: in both places, in a new directory; its output, its
# status, and what is seen afterwards
both() {
	local text=$1 place
	for place in "$dir/local" "$mnt/w"; do
		rm -rf "${place:?}/t" && mkdir "$place/t" &&
			cd "$place/t" || bail "no directory"
		(umask 022; eval "$2"; echo "status $?"; seen) 2>&1 |
			sed "s|$place|PLACE|g" >"$dir/seen.${place##*/}"
	done
	cd "$dir" || exit
	if ! diff "$dir/seen.local" "$dir/seen.w" >"$dir/seen.diff"; then
		sed 's/^/# /' "$dir/seen.diff" | head -n 12
		fail "$text"
	else
		pass "$text"
	fi
}

# --- what changes nothing is no change ---------------------------------------
# (Of other attributes the kernel moves the time by itself.)

ctimes() { # the steps that moved it
	local step
	cd "$mnt/w" && touch c && chmod 640 c || return
	for step in 'setfacl --set u::rw,g::r,o::- c' \
		'setfacl --set u::rw,g::-,o::- c' \
		'setfacl -m u:30001:rw c' 'setfacl -m u:30001:rw c' \
		'setfattr -n user.a -v 1 c' 'setfacl -b c' 'setfacl -b c'; do
		stat -c %z c >"$dir/ctime"
		eval "$step" || echo "$step failed"
		stat -c %z c | cmp -s - "$dir/ctime" || echo "${step#set}"
	done
	cd "$dir" && rm "$mnt/w/c"
}
cat >"$dir/ctimes.want" <<-'END'
	facl --set u::rw,g::-,o::- c
	facl -m u:30001:rw c
	fattr -n user.a -v 1 c
	facl -b c
END
ctimes >"$dir/ctimes"
check "ctime tells what was changed, not what was set" \
	diff "$dir/ctimes.want" "$dir/ctimes"

# --- lists and modes ---------------------------------------------------------

both "an access list" 'touch f; setfacl -m u:30001:rw,g:30002:r f'
both "on a directory" 'mkdir d; setfacl -m u:30001:rwx,g:30002:rx d'
both "a default list" 'mkdir d; setfacl -d -m u:30001:rwx,g:30002:rx,o::- d'
both "the least list is but a mode" 'touch f; setfacl -m u::rw,g::r,o::- f'
both "many entries" 'touch f; for i in $(seq 60); do
	echo "user:$((40000 + i)):r-x"; done | setfacl -M - f'
for mode in 000 640 644 750 777 4755 2755 1777 7777; do
	both "chmod $mode changes the list" "touch f; setfacl \
		-m u:30001:rwx,g:30002:rx f; chmod $mode f; mkdir d
		setfacl -m u:30001:rwx d; chmod $mode d"
done
both "a list changes the mode" 'touch f; chmod 4755 f
	for m in ::- r rw rwx x; do setfacl -m u:30001:rwx,m:${m#::} f
	stat -c %A f; done; setfacl -m u::-,o::x f; stat -c %A f'
both "the mask" 'touch f; setfacl -m u:30001:rwx,m:r f; stat -c %A f
	setfacl -m m:rwx f; chmod g-w f; getfacl -pnE f'
both "without a new mask" 'touch f; setfacl -n -m u:30001:rwx f'
both "entries removed" 'touch f; setfacl -m u:30001:rwx,u:30002:r f
	setfacl -x u:30001 f; getfacl -pnE f; setfacl -x u:30002,m f'
both "the list removed" 'touch f; setfacl -m u:30001:rwx f; setfacl -b f
	mkdir d; setfacl -d -m u:30001:rwx d; setfacl -k d'
both "set-group-id goes with a list of others" '
	touch f; chown 30001:30002 f; chmod 2777 f
	as 30001 setfacl -m u:30003:r f; stat -c %A f'
both "chown keeps it" 'touch f; setfacl -m u:30001:rwx f; chown 30002 f'
both "links and renames keep it" 'touch f; setfacl -m u:30001:rwx f
	ln f g; mv f h; setfacl -m u:30002:r g'

# --- inheritance -------------------------------------------------------------

make='umask $mask; touch f; mkdir d; mkfifo p; ln -s f s; mkdir d/e; touch d/e/f
	mknod c c 1 3; (umask 777; : >closed)'
for mask in 000 022 077 027 777; do
	both "inherited, umask $mask" "setfacl -d -m u:30001:rwx,g:30002:rx .
		mask=$mask; $make"
	both "inherited without a mask, umask $mask" "setfacl -d -m \
		u::rwx,g::rwx,o::r .; mask=$mask; $make"
	both "not inherited, umask $mask" "setfacl -m u:30001:rwx .
		mask=$mask; $make"
	both "inherited by others' files, umask $mask" "chmod 777 .
		setfacl -d -m u:30001:rwx,g:30002:rwx,o::rx .; chmod 3777 .
		umask $mask; as 30003 touch f; as 30003 mkdir d"
done
both "inherited lists and modes that were asked" '
	setfacl -d -m u:30001:rwx,g:30002:rwx .
	for m in 700 070 007 640 000; do mkdir -m $m d$m
	install -m $m /dev/null f$m; done'
both "moved in, it inherits nothing" 'mkdir d; touch f
	setfacl -d -m u:30001:rwx d; mv f d; cp /dev/null d/new'

# --- enforcement -------------------------------------------------------------

# who may read, write, run what: as words, one line a user
ask='for u in 0 30001 30002 30003 30004:30002 30005:30001,30003; do
	echo "$u: $(as $u sh -c "cat f >/dev/null && echo -n r
		(: >>f) && echo -n w; test -x f && echo -n x
		ls d >/dev/null && echo -n R; touch d/$u && echo -n W
		rm -f d/$u; cat d/in >/dev/null && echo -n X" 2>/dev/null)"; done'
for lists in 'u:30001:r' 'u:30001:rwx' 'u:30001:-' 'g:30002:rw' 'g:30002:-' \
	'u:30001:rwx,m:r' 'u:30001:rw,g:30002:rx,o::-' 'u:30001:-,o::rwx' \
	'g:30001:r,g:30003:w' 'g:30001:-,g:30003:rwx,o::rwx' 'u::-,u:30001:x' \
	'g:30002:rwx,g::-,m:wx' 'u:30001:w,u:30002:x,u:30003:-,o::r'; do
	both "enforced: $lists" "echo >f; mkdir d; echo >d/in; chmod 755 .
		chmod 640 f; chmod 750 d; chown 30003:30002 f d
		setfacl -m $lists f d; $ask"
done
both "enforced after chmod" "echo >f; mkdir d; echo >d/in; chmod 755 .
	setfacl -m u:30001:rwx,g:30002:rwx f d; chmod 705 f d; $ask"
both "who may change a list" 'touch f; chown 30001 f; chmod 777 . f
	setfacl -m u:30002:rwx f
	as 30001 setfacl -m u:30003:r f && as 30002 setfacl -m u:30004:r f'
both "lists do not lift the sticky bit" 'chmod 1777 .; mkdir d; chmod 1777 d
	setfacl -m u:30001:rwx d; touch d/f; as 30001 rm -f d/f'

# --- what is no list, and no place for one -----------------------------------

set_raw() { # FILE NAME HEX
	setfattr -n "system.posix_acl_$2" -v "0x$3" "$1"
}
u=0100.600.ffffffff g=0400.400.ffffffff o=2000.400.ffffffff
head=02000000
entry() { # TAG PERM ID: 16, 16, 32 bits, little end first
	printf '%02x%02x%02x%02x%02x%02x%02x%02x' $(($1 % 256)) $(($1 / 256)) \
		$(($2 % 256)) $(($2 / 256)) $(($3 % 256)) $(($3 >> 8 & 255)) \
		$(($3 >> 16 & 255)) $(($3 >> 24 & 255))
}
no=4294967295
u=$(entry 1 6 $no) g=$(entry 4 4 $no) o=$(entry 32 4 $no)
m=$(entry 16 7 $no) u1=$(entry 2 7 30001) u2=$(entry 2 7 30002)
g1=$(entry 8 5 30001)
for raw in 00 0200 02000000 01000000 03000000$u$g$o "$head${u}" "$head$u$g" \
	"$head$u$g$o" "$head$u$g${o}00" "$head$u$g${o:0:14}" \
	"$head$u$u1$g$o" "$head$u$u1$g$m$o" "$head$u$u2$u1$g$m$o" \
	"$head$u$u1$u1$g$m$o" "$head$u$g$g1$g1$m$o" "$head$u$u$g$o" \
	"$head$o$g$u" "$head$u$g$m" "$head$u$g$o$m" "$head$u$g$m$m$o" \
	"$head$(entry 1 8 $no)$g$o" "$head$(entry 1 65535 $no)$g$o" \
	"$head$u$(entry 2 7 $no)$g$m$o" "$head$u$g$o$(entry 64 7 $no)" \
	"$head$u$g$o$(entry 0 0 0)" "$head$u$(entry 3 7 5)$g$m$o"; do
	both "raw list ${raw:0:60}..." "touch f; mkdir d
		set_raw f access $raw; set_raw d access $raw
		set_raw d default $raw; set_raw f default $raw"
done
both "default lists are for directories" 'touch f; mkfifo p
	setfacl -d -m u:30001:rwx f; setfacl -d -m u:30001:rwx p'
both "symbolic links have none" 'ln -s nowhere s
	setfattr -h -n system.posix_acl_access -v 0x'"$head$u$g$o"' s
	getfattr -h -n system.posix_acl_access s'
both "a fifo and a device have" 'mkfifo p; mknod c c 1 3
	setfacl -m u:30001:rwx p c'
both "none is there" 'touch f; getfattr -n system.posix_acl_access f
	setfattr -x system.posix_acl_access f; getfattr -n system.posix_acl_x f
	setfattr -n system.other -v x f'

# --- copies ------------------------------------------------------------------

from=$dir/local/from
mkdir -p "$from/d/e" && cd "$from" || exit
for i in 1 2 3 4 5; do
	head -c $((i * 70000)) /dev/urandom >d/f$i
	setfacl -m "u:3000$i:rw,g:3100$i:r" d/f$i
	setfattr -n user.n -v "value $i" d/f$i
done
setfacl -d -m u:30001:rwx,g:30002:rx,o::- d/e
touch d/e/heir && mkdir d/e/sub && ln d/f1 linked && ln -s d/f2 soft
setfattr -n trusted.t -v secret d/f2
setfattr -n security.capability -v 0sAQAAAgAgAAAAAAAAAAAAAAAAAAA= d/f3
truncate -s 10M d/sparse && chown -R 30001:30002 d/e && chmod 2770 d/e
touch -d '2001-02-03 04:05:06.789' d/f4
# rsync lets times alone that differ within a second
find . -exec touch -h -d '2020-01-02 03:04:05.678901234' {} +
sum_tree "$from" "$dir/from.sum"
cd "$dir" || exit
copied() { # HOW: is $mnt/to what $from is? and back again?
	check "$1: there" same_tree "$dir/from.sum" "$mnt/to"
}
check "cp -a" cp -a "$from" "$mnt/to"
copied "cp -a"
check "remounted" eval 'umount_it && mount_it -o allow_other'
copied "cp -a, after a remount"
rm -rf "$dir/local/back"
check "cp -a: back" eval 'cp -a "$mnt/to" "$dir/local/back" &&
	same_tree "$dir/from.sum" "$dir/local/back"'
rm -rf "$mnt/to" && mkdir "$mnt/to"
tar_is() { tar --acls --xattrs --xattrs-include='*' --sparse "$@"; }
check "tar: out" eval 'tar_is -C "$from" -cf - . | tar_is -C "$mnt/to" -xpf -'
copied "tar"
rm -rf "$dir/local/back" && mkdir "$dir/local/back"
check "tar: back" eval 'tar_is -C "$mnt/to" -cf - . |
	tar_is -C "$dir/local/back" -xpf - &&
	same_tree "$dir/from.sum" "$dir/local/back"'
rm -rf "$mnt/to"
check "rsync" rsync -aHAXS "$from/" "$mnt/to/"
copied "rsync"
left=$(rsync -aHAXni "$from/" "$mnt/to/")
check "rsync again has nothing to do" test -z "$left"
rm -rf "$dir/local/back"
check "rsync: back" eval 'rsync -aHAXS "$mnt/to/" "$dir/local/back/" &&
	same_tree "$dir/from.sum" "$dir/local/back"'
check "unmounted" umount_it
done_testing
