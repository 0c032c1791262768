#!/bin/bash
# One Ceph object gateway (S3) on loopback, everything in memory: the fastest
# real S3 server there is in Debian. For benchmarks: nothing survives its stop.
#
#   radosgw.sh start DIR PORT    logs and state below DIR; uses the ports PORT,
#                                PORT+1, PORT+2 and some that the storage daemon
#                                picks; returns once it answers
#   radosgw.sh stop DIR          and waits until all its processes are gone
#   radosgw.sh purge DIR BUCKET  a bucket and all that is in it, at once
#
# Packages: ceph-mon ceph-osd radosgw ceph-common. RADOSGW_BYTES: how much it
# may keep in memory (default 12 GiB).
set -euo pipefail

WAIT_S=120
FSID=6f2f4f7e-54f6-4d0c-8f5f-3f4f0b8c5a11
OSD=0b1c2c2e-9c1e-4d55-9d4b-6d1d9a3b7f22

die() { echo "radosgw.sh: $*" >&2; exit 1; }

conf() { # PORT
	local name
	cat <<-C
	[global]
	fsid = $FSID
	mon_initial_members = a
	mon_host = [v2:127.0.0.1:$(($1 + 1)),v1:127.0.0.1:$(($1 + 2))]
	public_addr = 127.0.0.1
	cluster_addr = 127.0.0.1
	ms_bind_ipv4 = true
	run_dir = $dir/run
	admin_socket = $dir/run/\$name.asok
	log_file = $dir/log/\$name.log
	pid_file = $dir/run/\$name.pid
	crash_dir = $dir/run
	keyring = $dir/keyring
	mon_data = $dir/mon
	osd_data = $dir/osd
	rgw_data = $dir/rgw
	osd_objectstore = memstore
	memstore_device_bytes = ${RADOSGW_BYTES:-12884901888}
	osd_pool_default_size = 1
	osd_pool_default_min_size = 1
	osd_pool_default_pg_num = 8
	osd_pool_default_pgp_num = 8
	osd_pool_default_pg_autoscale_mode = off
	osd_crush_chooseleaf_type = 0
	osd_max_object_name_len = 2048
	osd_class_load_list = *
	osd_class_default_list = *
	mon_allow_pool_size_one = true
	mon_warn_on_pool_no_redundancy = false
	mon_max_pg_per_osd = 1000
	mon_data_avail_crit = 1
	mon_data_avail_warn = 2
	mon_osd_full_ratio = 0.99
	osd_failsafe_full_ratio = 0.995
	mon_osd_nearfull_ratio = 0.98
	mon_osd_backfillfull_ratio = 0.985
	debug_ms = 0
	C
	for name in cluster service client; do
		echo "auth_${name}_required = none"
	done
	# Without cephx only this mode agrees; without tcp_nodelay small answers
	# wait 40 ms for an acknowledgement.
	cat <<-C
	[client.rgw]
	ms_mon_client_mode = crc secure
	rgw_frontends = beast endpoint=127.0.0.1:$1 tcp_nodelay=1
	rgw_thread_pool_size = 64
	rgw_enable_usage_log = false
	rgw_enable_ops_log = false
	rgw_s3_auth_use_rados = true
	C
}

launch() { # NAME COMMAND...: in a session of its own
	local name=$1
	shift
	setsid "$@" </dev/null >"$dir/log/$name.out" 2>&1 &
	echo "$! $1" >>"$dir/radosgw.pid"
}

# Ours still? A pid may have passed to a stranger.
alive() { # PID NAME
	[ "$(tr '\0' '\n' 2>/dev/null <"/proc/$1/cmdline" | head -n 1)" = "$2" ]
}

give_up() {
	tail -n 5 "$dir"/log/*.out >&2 || true
	stop || true
	die "$*"
}

wait_until() { # WHAT COMMAND...
	local what=$1 pid name
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || give_up "$what: not after $WAIT_S s"
		while read -r pid name; do
			alive "$pid" "$name" || give_up "$name ended early"
		done <"$dir/radosgw.pid"
		sleep 0.1
	done
}

osd_up() { ceph --connect-timeout 2 osd stat | grep -q ' 1 up'; }

start() { # PORT
	local port=$1 name i end=$((SECONDS + WAIT_S))
	for name in ceph ceph-mon ceph-osd radosgw radosgw-admin monmaptool \
		curl setsid; do
		command -v $name >/dev/null || die "$name is not installed"
	done
	[ ! -e "$dir/radosgw.pid" ] || die "$dir/radosgw.pid exists: stop it first"
	for i in 0 1 2; do
		! (: <>"/dev/tcp/127.0.0.1/$((port + i))") 2>/dev/null ||
			die "port $((port + i)) is in use"
	done
	mkdir -p "$dir"/{mon,osd,rgw,log,run}
	conf "$port" >"$dir/ceph.conf"
	: >"$dir/keyring"
	export CEPH_CONF=$dir/ceph.conf
	monmaptool --create --fsid $FSID --addv a \
		"[v2:127.0.0.1:$((port + 1)),v1:127.0.0.1:$((port + 2))]" \
		"$dir/monmap" >"$dir/log/monmap.out"
	ceph-mon --mkfs -i a --monmap "$dir/monmap" >"$dir/log/mkfs.out" 2>&1
	launch mon ceph-mon -f -i a
	wait_until "the monitor" ceph --connect-timeout 2 osd tree
	ceph osd new $OSD >"$dir/log/new.out" 2>&1
	ceph-osd -i 0 --mkfs --osd-uuid $OSD >"$dir/log/mkfs-osd.out" 2>&1
	launch osd ceph-osd -f -i 0
	wait_until "the storage daemon" osd_up
	launch gateway radosgw -f -n client.rgw
	wait_until "the gateway" curl -s -m 5 -o /dev/null \
		"http://127.0.0.1:$port/"
	radosgw-admin -n client.rgw user create --uid=test --display-name=test \
		--max-buckets=100000 --access-key=testkey \
		--secret-key=testsecret >"$dir/log/user.out" 2>&1 ||
		give_up "no user was made"
	echo "s3: http://127.0.0.1:$port/BUCKET region us-east-1" \
		"access_key_id testkey secret_access_key testsecret"
}

stop() {
	local pid name end=$((SECONDS + 10)) sig=TERM
	[ -e "$dir/radosgw.pid" ] || return 0
	# The gateway first: it waits for the others otherwise.
	tac "$dir/radosgw.pid" >"$dir/radosgw.stop"
	while read -r pid name; do
		! alive "$pid" "$name" || kill -TERM "$pid" 2>/dev/null || true
		while alive "$pid" "$name"; do
			[ $SECONDS -lt $end ] || sig=KILL
			[ $sig = TERM ] || kill -KILL "$pid" 2>/dev/null || true
			sleep 0.05
		done
	done <"$dir/radosgw.stop"
	rm -f "$dir/radosgw.pid" "$dir/radosgw.stop"
}

# Past the garbage collection: the memory is wanted back now.
purge() { # BUCKET
	CEPH_CONF=$dir/ceph.conf radosgw-admin -n client.rgw bucket rm \
		--bucket="$1" --purge-objects --bypass-gc >>"$dir/log/purge.out" 2>&1
}

case "${1-} $#" in
"start 3") mkdir -p "$2"; dir=$(cd "$2" && pwd); start "$3" ;;
"stop 2") dir=$(cd "$2" && pwd); stop ;;
"purge 3") dir=$(cd "$2" && pwd); purge "$3" ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
