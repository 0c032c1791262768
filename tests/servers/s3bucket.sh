#!/bin/bash
# Buckets of a swift.sh server, which plurifs itself never makes or removes.
# By Swift's native API: its container is the s3api's bucket.
#
#   s3bucket.sh PORT make BUCKET
#   s3bucket.sh PORT list BUCKET            object names, one a line
#   s3bucket.sh PORT drop BUCKET OBJECT     remove one object
#   s3bucket.sh PORT remove BUCKET          with all that is in it
set -euo pipefail

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 3 ] || usage
port=$1 verb=$2 bucket=$3

token=$(curl -s -m 20 -D - -o /dev/null -H 'X-Auth-User: test:tester' \
	-H 'X-Auth-Key: testing' "http://127.0.0.1:$port/auth/v1.0" |
	tr -d '\r' | awk 'tolower($1) == "x-auth-token:" {print $2}')
[ -n "$token" ] || { echo "s3bucket.sh: no token from port $port" >&2; exit 1; }

ask() { # METHOD PATH [QUERY]
	curl -s -S -f -m 60 -X "$1" -H "X-Auth-Token: $token" \
		"http://127.0.0.1:$port/v1/AUTH_test/$2${3+?$3}"
}

list() { # pages of Swift: at most 10000 names
	local names last=
	while names=$(ask GET "$bucket" "marker=$last") && [ -n "$names" ]; do
		printf '%s\n' "$names"
		last=${names##*$'\n'}
	done
}

case $verb in
make) ask PUT "$bucket" ;;
list) list ;;
drop) ask DELETE "$bucket/${4?object}" ;;
remove)
	list | while read -r name; do ask DELETE "$bucket/$name"; done
	ask DELETE "$bucket"
	;;
*) usage ;;
esac
