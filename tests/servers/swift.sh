#!/bin/bash
# One OpenStack Swift node on loopback, native API and s3api on one port.
#
#   swift.sh start DIR PORT    everything it keeps is below DIR; uses the ports
#                              PORT .. PORT+4; returns once requests succeed
#   swift.sh stop DIR          and waits until all its processes are gone
#
# As root or not. Several at once: give each a DIR and PORT of its own.
# Packages: swift-proxy swift-account swift-container swift-object memcached.
# DIR must lie on a filesystem with user extended attributes.
set -euo pipefail

WAIT_S=120
SERVERS="account container object proxy"

die() { echo "swift.sh: $*" >&2; exit 1; }

conf() { # NAME PORT: the [DEFAULT] of a server's configuration
	cat <<-C
	[DEFAULT]
	bind_ip = 127.0.0.1
	bind_port = $2
	workers = 0
	user = $(id -un)
	swift_dir = $dir/etc
	devices = $dir/devices
	mount_check = false
	fallocate_reserve = 0
	log_level = WARNING
	C
}

storage_conf() { # NAME PORT
	conf "$1" "$2"
	cat <<-C
	[pipeline:main]
	pipeline = $1-server
	[app:$1-server]
	use = egg:swift#$1
	C
}

proxy_conf() { # PORT MEMCACHED_PORT
	local f
	conf proxy "$1"
	cat <<-C
	[pipeline:main]
	pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth slo dlo proxy-server
	[app:proxy-server]
	use = egg:swift#proxy
	account_autocreate = true
	[filter:cache]
	use = egg:swift#memcache
	memcache_servers = 127.0.0.1:$2
	[filter:s3api]
	use = egg:swift#s3api
	location = us-east-1
	[filter:tempauth]
	use = egg:swift#tempauth
	user_test_tester = testing .admin
	user_test_tester2 = testing2 .admin
	C
	for f in catch_errors gatekeeper healthcheck listing_formats bulk slo dlo; do
		printf '[filter:%s]\nuse = egg:swift#%s\n' $f $f
	done
}

rings() { # one replica on one device each: NAME:PORT ...
	/usr/bin/python3 - "$dir/etc" "$@" <<-'P'
	import sys
	from swift.common.ring.builder import RingBuilder

	for arg in sys.argv[2:]:
	    name, port = arg.split(':')
	    ring = RingBuilder(4, 1, 0)
	    ring.add_dev(dict(region=1, zone=1, weight=1, device='d1', meta='',
	                      ip='127.0.0.1', port=int(port),
	                      replication_ip='127.0.0.1',
	                      replication_port=int(port)))
	    ring.rebalance()
	    ring.get_ring().save('%s/%s.ring.gz' % (sys.argv[1], name))
	P
}

launch() { # MARK COMMAND...: in a session of its own. MARK: in its arguments
	local mark=$1
	shift
	setsid "$@" </dev/null >"$dir/log/${1##*/}.log" 2>&1 &
	echo "$! $mark" >>"$dir/swift.pid"
}

# Ours still? A pid may have passed to a stranger.
alive() { # PID MARK
	tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -q -F -e "$2 "
}

works() { # a signed-in request through all servers
	local token
	token=$(curl -s -m 5 -D - -o /dev/null -H 'X-Auth-User: test:tester' \
		-H 'X-Auth-Key: testing' "http://127.0.0.1:$1/auth/v1.0" |
		tr -d '\r' | awk 'tolower($1) == "x-auth-token:" {print $2}')
	[ -n "$token" ] && curl -s -m 5 -f -o /dev/null -X PUT \
		-H "X-Auth-Token: $token" \
		"http://127.0.0.1:$1/v1/AUTH_test/ready" &&
		curl -s -m 5 -f -o /dev/null -X PUT -H "X-Auth-Token: $token" \
		-d x "http://127.0.0.1:$1/v1/AUTH_test/ready/object"
}

give_up() {
	tail -n 20 "$dir"/log/*.log >&2 || true
	stop || true
	die "$*"
}

start() { # PORT
	local port=$1 i pid name
	local end=$((SECONDS + WAIT_S))

	for name in memcached curl setsid; do
		[ -n "$(PATH=$PATH:/usr/sbin:/sbin command -v $name)" ] ||
			die "$name is not installed"
	done
	for name in $SERVERS; do
		command -v "swift-$name-server" >/dev/null ||
			die "swift-$name-server is not installed"
	done
	[ ! -e "$dir/swift.pid" ] || die "$dir/swift.pid exists: stop it first"
	for i in 0 1 2 3 4; do
		! (: <>"/dev/tcp/127.0.0.1/$((port + i))") 2>/dev/null ||
			die "port $((port + i)) is in use"
	done
	mkdir -p "$dir/etc" "$dir/log" "$dir/devices/d1"
	proxy_conf "$port" $((port + 1)) >"$dir/etc/proxy-server.conf"
	storage_conf account $((port + 2)) >"$dir/etc/account-server.conf"
	storage_conf container $((port + 3)) >"$dir/etc/container-server.conf"
	storage_conf object $((port + 4)) >"$dir/etc/object-server.conf"
	rings account:$((port + 2)) container:$((port + 3)) object:$((port + 4))

	local as=()
	[ "$(id -u)" != 0 ] || as=(-u nobody)
	PATH=$PATH:/usr/sbin launch "-p $((port + 1))" memcached "${as[@]}" \
		-m 64 -U 0 -l 127.0.0.1 -p $((port + 1))
	for name in $SERVERS; do
		launch "$dir/etc/$name-server.conf" "swift-$name-server" \
			"$dir/etc/$name-server.conf"
	done
	until works "$port"; do
		while read -r pid name; do
			# A zombie has no arguments any more.
			[ -n "$(tr -d '\0' 2>/dev/null <"/proc/$pid/cmdline")" ] ||
				give_up "a server ended early ($name)"
		done <"$dir/swift.pid"
		[ $SECONDS -lt $end ] || give_up "not up after $WAIT_S s"
		sleep 0.1
	done
	echo "s3: http://127.0.0.1:$port/BUCKET region us-east-1" \
		"access_key_id test:tester secret_access_key testing"
	echo "swift: http://127.0.0.1:$port/auth/v1.0 user test:tester" \
		"key testing"
}

stop() {
	local pid name end=$((SECONDS + 10)) sig=TERM

	[ -e "$dir/swift.pid" ] || return 0
	while read -r pid name; do
		! alive "$pid" "$name" || kill -TERM "$pid" 2>/dev/null || true
	done <"$dir/swift.pid"
	while read -r pid name; do
		while alive "$pid" "$name"; do
			[ $SECONDS -lt $end ] || sig=KILL
			[ $sig = TERM ] || kill -KILL "$pid" 2>/dev/null || true
			sleep 0.05
		done
	done <"$dir/swift.pid"
	rm -f "$dir/swift.pid"
}

case "${1-} $#" in
"start 3") mkdir -p "$2"; dir=$(cd "$2" && pwd); start "$3" ;;
"stop 2") dir=$(cd "$2" && pwd); stop ;;
"stop 3") dir=$(cd "$2" && pwd); stop ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
