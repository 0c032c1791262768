#!/bin/bash
# Run a test program against a Swift server of its own:
#
#   with-swift.sh PROGRAM [ARGUMENT...]
#
# PLURI_TEST_S3 is the url of an empty bucket, PLURI_TEST_S3_NONE of one that
# does not exist. Skipped, as TAP says it, where Swift is not installed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
for name in account container object proxy; do
	if ! command -v swift-$name-server >/dev/null; then
		echo "1..0 # SKIP swift-$name-server is not installed"
		exit 0
	fi
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/plurifs-swift-XXXXXX")
finish() {
	"$here/swift.sh" stop "$dir" || true
	rm -rf "$dir"
}
trap finish EXIT

# Another's server may be where we look first, or come there meanwhile; ports
# from 32768 on may be those of a connection.
for try in 0 1 2 3 4 5 6 7; do
	port=$((20000 + ($$ + try * 997) % 2400 * 5))
	if "$here/swift.sh" start "$dir" $port >"$dir.out" 2>&1; then
		break
	fi
	if [ $try = 7 ] || ! grep -q 'is in use\|ended early' "$dir.out"; then
		sed 's/^/# /' "$dir.out"
		rm -f "$dir.out"
		echo "Bail out! Swift does not start"
		exit 1
	fi
done
rm -f "$dir.out"
"$here/s3bucket.sh" $port make plurifs-test
export PLURI_TEST_S3=http://127.0.0.1:$port/plurifs-test
export PLURI_TEST_S3_NONE=http://127.0.0.1:$port/plurifs-none
"$@"
