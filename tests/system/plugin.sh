#!/bin/bash
# plugin.sh - a backend built outside the tree, against what is installed,
# serves a mount; one of another ABI is refused with its story.
#
#   BUILD   the build directory, for meson install
. "$(dirname "$0")/lib.sh"

start_test
build=${BUILD:-$(dirname "$pluri")}
inside=$(dirname "$pluri")/backends

"$src/plugin/build.sh" "$dir/good" "$build" >"$dir/build.out" 2>&1 ||
	{ sed 's/^/# /' "$dir/build.out"; bail "the example does not build"; }
pass "the example builds outside the tree"
"$src/plugin/build.sh" "$dir/bad" "$build" -DBAD_ABI >"$dir/build.out" 2>&1
check "and one of another ABI" test -e "$dir/bad/pluri-example.so"

mkdir "$dir/orig"
volume_ini
store_ini a example "$dir/a"
store_ini b example "$dir/b"
sed -i "s|^url = |url = example:|" "$ini"
policy_ini 'layout = mirror:2' 'pack = 1M'
export PLURI_PLUGINS=$dir/good

head -c 3M /dev/urandom >"$dir/orig/random"
yes plugin | head -c 2M >"$dir/orig/text"
mkdir "$dir/orig/sub"
ln "$dir/orig/text" "$dir/orig/sub/link"
sum_tree "$dir/orig" "$dir/orig.sum"

check "created" create
check "mounted" mount_it
check "copied" cp -a "$dir/orig/." "$mnt/"
check "status 0, no debt" wait_well 60
check "local copies dropped" forget
check "equal from the plugin's objects" same_tree "$dir/orig.sum" "$mnt"
check "there are objects" test "$(status_get stores a objects)" -gt 2
check "unmounted" umount_it

refused() { # TEXT WORD...
	local text=$1 word status
	shift
	"$pluri" mount "$ini" "$mnt" >"$dir/out" 2>&1
	status=$?
	for word in "$@"; do
		grep -qF "$word" "$dir/out" && continue
		note "$(head -n 3 "$dir/out")"
		status=
	done
	check "$text" test "$status" = 1
	check "$text: nothing is mounted" not_mounted
}

PLURI_PLUGINS=$dir/bad refused "another ABI is refused" pluri-example.so \
	'speaks plugin ABI 2, this plurifs speaks ABI 1' rebuild
mkdir "$dir/none"
PLURI_PLUGINS=$dir/none refused "a plugin that is not there is missed" \
	example "$dir/none"

check "mounted again" mount_it
check "still equal" same_tree "$dir/orig.sum" "$mnt"
check "unmounted again" umount_it
done_testing
