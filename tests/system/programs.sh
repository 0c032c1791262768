#!/bin/bash
# programs.sh - programs that people run: what they leave on a mount is byte for
# byte what they leave on the local disk, also after a remount and a kill -9.
#
#   programs.sh slow PART...   the long ones: postgres; build: of this project;
#                              backup: restic and borg with more than 500 MiB.
#                              Without: all three
. "$(dirname "$0")/lib.sh"

start_test
two_stores 'cache = 4G'
check "created" create
opts=
[ "$(id -u)" != 0 ] || opts=allow_other
mount_now() { mount_it ${opts:+-o $opts}; }
check "mounted" mount_now
w=$mnt/w l=$dir/local
mkdir "$w" "$l"
export HOME=$dir/home XDG_CACHE_HOME=$dir/home/cache
mkdir "$HOME"

remount() { cd "$dir" && umount_it && mount_now; }
quiet() { # COMMAND...: its output only when it fails
	"$@" >"$dir/quiet.out" 2>&1 && return 0
	tail -n 8 "$dir/quiet.out" | sed 's/^/# /'
	return 1
}
is() { # TEXT WANTED GOT
	[ "$2" = "$3" ] || note "wanted \"$2\", got \"$3\""
	check "$1" test "$2" = "$3"
}
have() { # TOOL...: or say what is left out
	local tool
	for tool; do
		command -v "$tool" >/dev/null && continue
		note "left out: $tool is not installed"
		return 1
	done
}

# A tree of N MiB: small files, large ones, links, and what compresses.
sample_tree() { # DIR MIB
	local i
	mkdir -p "$1/src" "$1/deep/er/and/deeper"
	cp -a "$src/." "$1/src/"
	for ((i = 0; i < $2 / 8; i++)); do
		head -c 4M /dev/urandom >"$1/deep/random$i"
		yes "line $i of a text that compresses" | head -c 4M \
			>"$1/deep/er/text$i"
	done
	ln "$1/deep/random0" "$1/deep/er/and/hard"
	ln -s ../deep/random0 "$1/src/soft"
	truncate -s 50M "$1/deep/sparse"
	find "$1" -exec touch -h -d '2020-02-03 04:05:06.789' {} +
}

# --- back-up -----------------------------------------------------------------

# A change that comes and goes leaves its directory's time.
changed_back() {
	rm -f "$1/src/change"
	touch -d '2020-02-03 04:05:06.789' "$1/src"
}

# backup TREE SUM: there and back by restic and by borg, twice, with remounts
backup() {
	local tree=$1 sum=$2
	export RESTIC_PASSWORD=secret BORG_UNENCRYPTED_REPO=1
	export BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
	export BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
	if have restic; then
		rs() { quiet restic -q -r "$w/restic" "$@"; }
		check "restic: init" rs init
		check "restic: backup" eval 'cd "$tree" && rs backup .'
		echo change >"$tree/src/change"
		check "restic: a second one" eval 'cd "$tree" && rs backup .'
		check "restic: remounted" remount
		check "restic: check" rs check --read-data
		changed_back "$tree"
		check "restic: one forgotten" rs forget --keep-last 1 --prune
		check "restic: check again" rs check --read-data
		check "restic: backup of the mount" eval 'cp -a "$tree" "$w/t" &&
			cd "$w/t" && rs backup .'
		check "restic: restore" rs restore latest --target "$l/restic"
		check "restic: the same" same_tree "$sum" "$l/restic"
		rm -rf "$l/restic" "$w/t"
	fi
	if have borg; then
		check "borg: init" quiet borg init -e none "$w/borg"
		check "borg: create" eval 'cd "$tree" &&
			quiet borg create "$w/borg::one" .'
		check "borg: a second one" eval 'cd "$tree" &&
			echo x >src/change && quiet borg create "$w/borg::two" .'
		changed_back "$tree"
		check "borg: remounted" remount
		check "borg: check" quiet borg check --verify-data "$w/borg"
		# renames directories
		check "borg: delete and compact" eval '
			quiet borg delete "$w/borg::two" &&
			quiet borg compact "$w/borg"'
		check "borg: check again" quiet borg check "$w/borg"
		check "borg: restore" eval 'mkdir "$w/out" && cd "$w/out" &&
			quiet borg extract "$w/borg::one"'
		check "borg: the same" same_tree "$sum" "$w/out"
		rm -rf "$w/out"
	fi
	cd "$dir" || exit
}

# shellcheck source=tests/system/programs_slow.sh
if [ "${1-}" = slow ]; then
	shift
	. "$src/system/programs_slow.sh"
	check "unmounted" umount_it
	done_testing
	exit
fi

sample_tree "$l/tree" 24
sum_tree "$l/tree" "$dir/tree.sum"
backup "$l/tree" "$dir/tree.sum"

# --- copies ------------------------------------------------------------------

if have rsync; then
	check "rsync" rsync -aHAXS "$l/tree/" "$w/rsync/"
	check "rsync: the same" same_tree "$dir/tree.sum" "$w/rsync"
	is "rsync: again, nothing to do" "" \
		"$(rsync -aHAXni --checksum "$l/tree/" "$w/rsync/")"
	for f in random0 sparse; do
		printf new | dd of="$l/tree/deep/$f" bs=1 seek=1000000 \
			conv=notrunc status=none
	done
	for how in --inplace --append-verify --no-whole-file --partial; do
		check "rsync $how" rsync -aHAX $how "$l/tree/" "$w/rsync/"
	done
	check "rsync: the changes, in place" rsync -aHAX --inplace \
		--no-whole-file "$l/tree/" "$w/rsync/"
	sum_tree "$l/tree" "$dir/tree2.sum"
	check "rsync: the same after changes" same_tree "$dir/tree2.sum" "$w/rsync"
	rm "$l/tree/deep/random1"
	check "rsync --delete" rsync -aHAX --delete "$l/tree/" "$w/rsync/"
	check "rsync: remounted" remount
	is "rsync: nothing to do after a remount" "" \
		"$(rsync -aHAXni "$l/tree/" "$w/rsync/")"
fi
truncate -s 300M "$l/hole" && printf x | dd of="$l/hole" bs=1 seek=100000000 \
	conv=notrunc status=none
check "cp --sparse=always" cp --sparse=always "$l/hole" "$w/hole"
check "cp --sparse: the same" cmp "$l/hole" "$w/hole"
check "cp --sparse: it has holes" test "$(du -k "$w/hole" | cut -f1)" -lt 20000
check "cp --reflink=auto" eval 'cp --reflink=auto "$w/hole" "$w/hole2" &&
	cmp "$w/hole" "$w/hole2"'
mkdir "$w/tar"
check "tar" eval 'tar -C "$l/tree" -cf - . | tar -C "$w/tar" -xpf - &&
	diff -r --no-dereference "$l/tree" "$w/tar"'
is "find counts alike" "$(find "$l/tree" | wc -l)" "$(find "$w/tar" | wc -l)"
is "du --apparent-size alike" \
	"$(du -b --apparent-size "$l/tree/src"/system/*.sh | cut -f1 | xargs)" \
	"$(du -b --apparent-size "$w/tar/src"/system/*.sh | cut -f1 | xargs)"
check "rm -rf" eval 'rm -rf "$w/tar" "$w/rsync" && ! [ -e "$w/tar" ]'

# --- git ---------------------------------------------------------------------

if have git; then
	g() { quiet git -c user.name=t -c user.email=t@localhost \
		-c init.defaultBranch=main -c gc.auto=0 "$@"; }
	mkdir "$w/repo" && cd "$w/repo" || exit
	check "git: init" g init
	for i in 1 2 3; do
		cp -a "$src/." . && echo $i >number
		check "git: commit $i" eval 'g add -A && g commit -m $i'
	done
	check "git: gc" g gc --aggressive --prune=now
	check "git: fsck" g fsck --full --strict
	is "git: clean" "" "$(git status --porcelain)"
	check "git: worktree" eval 'g worktree add -b other ../other &&
		cd ../other && echo x >>number && g commit -am other'
	check "git: merge" eval 'cd "$w/repo" && g merge other'
	check "git: clone on the mount" g clone "$w/repo" "$w/clone"
	check "git: clone to the disk" g clone --no-local "$w/repo" "$l/clone"
	check "git: the clones agree" diff -r -x .git "$w/clone" "$l/clone"
	check "git: remounted" remount
	cd "$w/repo" || exit
	# the index holds inode numbers and times to the nanosecond
	check "git: nothing has changed by it" g diff-files --quiet
	is "git: clean" "" "$(git status --porcelain)"
	check "git: fsck" g fsck --full
	check "git: push" eval 'cd "$l/clone" && echo y >>number &&
		g commit -am y && g push origin main:pushed'
	check "git: stash, rebase, bisect" eval 'cd "$w/clone" &&
		echo z >>number && g stash && g rebase HEAD~1 && g stash drop'
	cd "$dir" || exit
fi

# --- databases ---------------------------------------------------------------

sql() { sqlite3 -bail "$@"; }
if have sqlite3; then
	# but for wal each connection says its mode anew
	for mode in delete truncate persist wal; do
		db=$w/$mode.db
		check "SQLite, $mode: written" eval 'quiet sql "$db" \
			"PRAGMA journal_mode=$mode" "CREATE TABLE t(a, b)" &&
			for i in 1 2 3 4 5 6 7 8; do echo "BEGIN;
			INSERT INTO t SELECT $i, randomblob(2000) FROM
			pragma_function_list; COMMIT;"; done |
			quiet sql -cmd "PRAGMA journal_mode=$mode" "$db"'
		check "SQLite, $mode: two writers" eval '
			(for i in $(seq 20); do echo "PRAGMA busy_timeout=60000;
			PRAGMA journal_mode=$mode;
			INSERT INTO t VALUES(1000, $i);" | quiet sql "$db" ||
			exit 1; done) & one=$!
			(for i in $(seq 20); do echo "PRAGMA busy_timeout=60000;
			PRAGMA journal_mode=$mode;
			INSERT INTO t VALUES(1000, $i);" | quiet sql "$db" ||
			exit 1; done) & wait $one && wait $!'
		is "SQLite, $mode: all is there" 40 \
			"$(sql "$db" 'SELECT count(*) FROM t WHERE a = 1000')"
		is "SQLite, $mode: integrity" ok \
			"$(sql "$db" 'PRAGMA integrity_check')"
		is "SQLite, $mode: a lock is one" 1 "$(
			(echo "BEGIN EXCLUSIVE;"; echo ".shell touch $w/held"
			echo ".shell while [ -e $w/held ]; do sleep 0.05; done"
			) | sql "$db" &
			wait_for 60 test -e "$w/held"
			sql "$db" 'BEGIN IMMEDIATE' 2>&1 | grep -c locked
			rm "$w/held"; wait)"
		check "SQLite, $mode: vacuum" sql "$db" VACUUM
	done
	check "SQLite: remounted" remount
	for mode in delete truncate persist wal; do
		is "SQLite, $mode: integrity after a remount" ok \
			"$(sql "$w/$mode.db" 'PRAGMA integrity_check')"
		db=$w/$mode.db
		# numbers that are told of are committed
		python3 - "$db" "$dir/told" $mode 2>/dev/null <<'END' &
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
# "full" would not wait for the journal's name to go; "extra" does
c.execute("pragma synchronous=extra")
c.execute("pragma journal_mode=" + sys.argv[3])
told = open(sys.argv[2], "w")
for i in range(100000):
    c.execute("insert into t values(2000, ?)", (i,))
    told.seek(0); told.write("%d" % i); told.flush()
END
		writer=$!
		children+=($writer)
		wait_for 120 eval '[ "$(cat "$dir/told" 2>/dev/null || echo 0)" -ge 30 ]'
		# the writer goes as well, as in a power cut: left alone, SQLite
		# says "done" when the directory it is to sync cannot be opened
		kill -KILL $writer "$(daemon_pid)"
		wait $writer 2>/dev/null
		wait_for 60 no_daemon
		told=$(cat "$dir/told")
		check "SQLite, $mode: mounted after kill -9" eval '
			unmount_dead && mount_now'
		got=$(sql "$db" 'SELECT max(b) FROM t WHERE a = 2000')
		note "told of $told, found $got"
		check "SQLite, $mode: what was committed is there" \
			test "${got:--1}" -ge "$told"
		is "SQLite, $mode: integrity" ok \
			"$(sql "$db" 'PRAGMA integrity_check')"
		rm -f "$dir/told"
	done
fi

# --- locks, editors, maps, watchers ------------------------------------------

check "flock(1)" eval '(flock 9; ! flock -n "$w/lock" true) 9>"$w/lock" &&
	flock -n "$w/lock" true'
check "flock(1), shared" eval '(flock -s 9; flock -sn "$w/lock" true &&
	! flock -n "$w/lock" true) 9>"$w/lock"'
cat >"$dir/edit.py" <<'END'
import os, sys, mmap, shutil, tempfile
d = sys.argv[1]
p = os.path.join(d, "edited")
open(p, "w").write("0")
for i in range(1, 300):
    if i % 3 == 0:    # a new file takes the name, as vim and most do
        t = p + ".swp"
        with open(t, "w") as f:
            f.write(str(i)); f.flush(); os.fsync(f.fileno())
        shutil.copystat(p, t); os.rename(t, p)
    elif i % 3 == 1:  # the old one is kept, as emacs does
        os.rename(p, p + "~"); open(p, "w").write(str(i))
    else:             # in place
        with open(p, "r+") as f:
            f.truncate(0); f.write(str(i))
    assert open(p).read() == str(i), i
m = os.path.join(d, "mapped")
with open(m, "wb") as f: f.truncate(3 << 20)
with open(m, "r+b") as f, mmap.mmap(f.fileno(), 0) as a, \
        mmap.mmap(f.fileno(), 0) as b:
    for i in range(0, 3 << 20, 4099): a[i] = i % 251
    assert all(b[i] == i % 251 for i in range(0, 3 << 20, 4099))
    f.seek(8198); assert f.read(1)[0] == 8198 % 251
    a.flush()
END
check "editors and maps" quiet python3 "$dir/edit.py" "$w"
sum=$(cksum <"$w/mapped")
check "maps: remounted" remount
is "maps: the same after a remount" "$sum" "$(cksum <"$w/mapped")"
if have inotifywait; then
	mkdir "$w/watched"
	inotifywait -qm --format '%e %f' "$w/watched" >"$dir/events" \
		2>"$dir/watching" &
	watcher=$!
	children+=($watcher)
	# no message tells that it watches with -q: an event does
	wait_for 60 eval 'touch "$w/watched/up"; [ -s "$dir/events" ]'
	echo x >"$w/watched/f" && mv "$w/watched/f" "$w/watched/g" &&
		chmod 600 "$w/watched/g" && mkdir "$w/watched/d" &&
		rm "$w/watched/g"
	wait_for 60 grep -q 'DELETE g' "$dir/events"
	for event in 'CREATE f' 'MODIFY f' 'CLOSE_WRITE,CLOSE f' \
		'MOVED_FROM f' 'MOVED_TO g' 'ATTRIB g' 'CREATE,ISDIR d' \
		'DELETE g'; do
		check "inotify: $event" grep -q "$event" "$dir/events"
	done
	kill $watcher
fi

check "all well at last" wait_well 120
check "unmounted" umount_it
done_testing
