#!/bin/sh
# install.sh KIND... - install the packages of packages.txt that are missing.
# Silent and without root rights when nothing is.
set -eu
list=$(dirname "$0")/packages.txt

missing=
for kind in "$@"; do
	# shellcheck disable=SC2013 # a name has no blanks
	for name in $(awk -v k="$kind" '$1 == k { print $2 }' "$list"); do
		state=$(dpkg-query -W -f '${db:Status-Status}' "$name" \
			2>/dev/null || true)
		[ "$state" = installed ] || missing="$missing $name"
	done
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "install these first, by your distribution's names:$missing" >&2
	exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "as root, run: apt-get install$missing" >&2
		exit 1
	fi
	sudo=sudo
fi
echo "installing:$missing"
$sudo apt-get update -q </dev/null
# shellcheck disable=SC2086 # names, one word each
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
	--no-install-recommends $missing </dev/null
