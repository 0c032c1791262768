#!/bin/bash
# programs_slow.sh - the long part of programs.sh, which sources it.

parts_are 'postgres build backup' "$@"

# --- PostgreSQL --------------------------------------------------------------

pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
pg_user() { # COMMAND...: PostgreSQL does not run as root
	if [ "$(id -u)" = 0 ]; then
		(cd / && setpriv --reuid=postgres --regid=postgres --init-groups \
			"$@")
	else
		"$@"
	fi
}
pg_ctl() {
	quiet pg_user "$pg_bin/pg_ctl" -w -t 120 -D "$w/pg" \
		-o "-c listen_addresses= -c unix_socket_directories=$dir/sock" \
		-l "$dir/sock/log" "$@"
}
pg_sql() { pg_user "$pg_bin/psql" -h "$dir/sock" -d postgres -Atc "$1"; }
# -n: else each begins by emptying the history
pg_bench() { pg_user "$pg_bin/pgbench" -h "$dir/sock" "$@" postgres; }
# What pgbench's transactions leave equal: balances and the history.
pg_even() {
	[ "$(pg_sql 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) =
		(SELECT sum(bbalance) FROM pgbench_branches) AND
		(SELECT sum(tbalance) FROM pgbench_tellers) =
		(SELECT coalesce(sum(delta), 0) FROM pgbench_history) AND
		(SELECT sum(bbalance) FROM pgbench_branches) =
		(SELECT coalesce(sum(delta), 0) FROM pgbench_history)')" = t ]
}
pg_count() { pg_sql 'SELECT count(*) FROM pgbench_history'; }

if ! part postgres; then
	:
elif [ -z "$pg_bin" ]; then
	note "left out: PostgreSQL is not installed"
else
	mkdir -m 755 "$dir/sock" "$w/pg" && chmod 755 "$w"
	[ "$(id -u)" != 0 ] || chown postgres "$dir/sock" "$w/pg"
	check "PostgreSQL: initdb" quiet pg_user "$pg_bin/initdb" -k -D "$w/pg"
	check "PostgreSQL: started" pg_ctl start
	check "PostgreSQL: pgbench -i" quiet pg_bench -i -s 3
	check "PostgreSQL: pgbench" quiet pg_bench -n -c 4 -j 2 -T 15
	check "PostgreSQL: sums agree" pg_even
	note "$(pg_count) transactions"
	pg_bench -n -c 4 -j 2 -T 20 >"$dir/bench.out" 2>&1 &
	bench=$!
	before=$(pg_count)
	wait_for 20 eval '[ "$(pg_count)" -gt $((before + 200)) ]'
	seen=$(pg_count)
	check "PostgreSQL: crashed under load" pg_ctl stop -m immediate
	wait $bench
	check "PostgreSQL: recovered" pg_ctl start
	check "PostgreSQL: what was committed is there" \
		test "$(pg_count)" -ge "$seen"
	check "PostgreSQL: sums agree after the crash" pg_even
	check "PostgreSQL: stopped, remounted" eval 'pg_ctl stop && remount'
	check "PostgreSQL: checksums" quiet pg_user "$pg_bin/pg_checksums" \
		-c -D "$w/pg"
	check "PostgreSQL: started again" pg_ctl start
	check "PostgreSQL: sums agree after a remount" pg_even
	pg_bench -n -c 4 -j 2 -T 20 >"$dir/bench.out" 2>&1 &
	bench=$!
	before=$(pg_count)
	wait_for 20 eval '[ "$(pg_count)" -gt $((before + 200)) ]'
	seen=$(pg_count)
	main=$(head -n 1 "$w/pg/postmaster.pid")
	kill_daemon
	kill -QUIT "$main" 2>/dev/null
	wait $bench
	wait_for 60 eval '! kill -0 $main 2>/dev/null'
	check "PostgreSQL: mounted after kill -9" eval 'unmount_dead && mount_now'
	rm -f "$w/pg/postmaster.pid"
	check "PostgreSQL: recovered from it" pg_ctl start
	check "PostgreSQL: what was committed is there" \
		test "$(pg_count)" -ge "$seen"
	check "PostgreSQL: sums agree after kill -9" pg_even
	check "PostgreSQL: vacuum and reindex" eval '
		pg_sql "VACUUM FULL" >"$dir/vacuum.out" &&
		pg_sql "REINDEX DATABASE postgres" >"$dir/vacuum.out"'
	check "PostgreSQL: stopped" pg_ctl stop
	check "PostgreSQL: checksums" quiet pg_user "$pg_bin/pg_checksums" \
		-c -D "$w/pg"
fi

# --- a build -----------------------------------------------------------------

if part build && have meson ninja; then
	mkdir "$w/project" && cd "$src/.." || exit
	tar --exclude=./.git --exclude='./build*' -cf - . |
		tar -C "$w/project" -xf -
	idle() { ninja -n -C "$w/build" | grep -q 'no work to do'; }
	check "build: meson" quiet meson setup "$w/build" "$w/project"
	check "build: ninja" quiet ninja -j"$(nproc)" -C "$w/build"
	check "build: nothing more to do" idle
	check "build: it runs" quiet "$w/build/pluri" --version
	check "build: remounted" remount
	check "build: nothing to do after a remount" idle
	touch "$w/project/base/text.c"
	check "build: one file changed" eval '! idle &&
		quiet ninja -C "$w/build" && idle'
	check "build: unit tests pass there" quiet meson test -C "$w/build" \
		--no-rebuild --suite unit
	cd "$dir" || exit
fi

# --- more than 500 MiB -------------------------------------------------------

if part backup; then
	sample_tree "$l/tree" 560
	sum_tree "$l/tree" "$dir/tree.sum"
	backup "$l/tree" "$dir/tree.sum"
fi
check "all well at last" wait_well 300
