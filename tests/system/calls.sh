#!/bin/bash
# calls.sh - system calls one by one with the errors they have to give, two
# processes at once, other users; and random operations on files of several
# names against a model: through remounts, kill -9, and with nothing cached.
#
#   SEED=... STEPS=...   of the model
. "$(dirname "$0")/lib.sh"

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
steps=${STEPS:-150}

start_test
note "SEED=$seed STEPS=$steps"
# Small bounds, so that everything passes them.
two_stores 'cache = 64M' 'dirty = 4M' 'memory_cache = 8M' -- 'pack = 4M'
if [ "$(id -u)" = 0 ]; then
	mount_now() { mount_it -o allow_other; }
else
	note "not root: other users and owners are left out"
	mount_now() { mount_it; }
fi
create || bail "create"
check "mounted" mount_now

# Where the daemon may tell the kernel, and the file is there to be read.
reads_ahead() {
	local file
	file=/sys/class/bdi/$(mountpoint -d "$mnt")/read_ahead_kb
	[ ! -w "$file" ] || [ "$(cat "$file")" -ge 512 ]
}
check "the kernel reads ahead on it" reads_ahead

remount() { umount_it && mount_now; }

# --- calls ------------------------------------------------------------------

for program in posix_names posix_data; do
	mkdir "$mnt/$program"
	"$helpers/$program" "$mnt/$program" >"$dir/$program.out" 2>&1
	status=$?
	while read -r word text; do
		case $word in
		RIGHT) pass "$text" ;;
		WRONG) fail "$text" ;;
		*) echo "$word $text" ;;
		esac
	done <"$dir/$program.out"
	check "$program ended" test $status -le 1
	sum_tree "$mnt/$program" "$dir/$program.sum"
done

cat >"$dir/db.py" <<'END'
import sqlite3, sys, threading
path = sys.argv[1]
def connect():
    c = sqlite3.connect(path, timeout=60)
    assert c.execute("pragma journal_mode=wal").fetchone()[0] == "wal"
    return c
c = connect()
c.execute("create table if not exists t (who int, n int, b blob)")
c.commit()
def work(who):
    c = connect()
    for n in range(40):
        with c:
            c.execute("insert into t values (?, ?, randomblob(3000))",
                (who, n))
    c.close()
ts = [threading.Thread(target=work, args=(w,)) for w in range(3)]
for t in ts: t.start()
for t in ts: t.join()
assert c.execute("select count(*) from t").fetchone()[0] == 120
assert c.execute("pragma integrity_check").fetchone()[0] == "ok"
c.close()
END
check "SQLite: WAL, three writers" python3 "$dir/db.py" "$mnt/db.sqlite"

check "remounted" remount
check "nothing is cached" forget
for program in posix_names posix_data; do
	check "$program: what it left is still so" \
		same_tree "$dir/$program.sum" "$mnt/$program"
done
check "SQLite: integrity" python3 -c '
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
sys.exit(c.execute("pragma integrity_check").fetchone()[0] != "ok" or
    c.execute("select count(*) from t").fetchone()[0] != 120)' "$mnt/db.sqlite"

# --- a model ----------------------------------------------------------------

mkdir "$mnt/model"
go_on() { "$helpers/linkmodel" "$mnt/model" "$dir/model.state" $seed $steps; }
all_sent() { "$pluri" sync "$mnt" >/dev/null; }
check "model: the beginning" go_on
check "model: kernel's caches dropped" eval 'forget_kernel && go_on'
check "model: remounted" eval 'remount && go_on'
check "model: no local copies" eval 'all_sent && forget && go_on'
# sync(1) would not do: the kernel passes it on to no FUSE daemon.
check "model: killed after a sync" eval 'all_sent && kill_daemon &&
	unmount_dead && mount_now && go_on'
check "model: remounted at last" eval 'remount && forget && steps=0 go_on'
check "all well" wait_well 60
check "unmounted" umount_it
done_testing
