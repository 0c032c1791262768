#!/bin/sh
# exports.sh ROOT BUILDDIR - foo.c and foo_bar.c export only foo_*, or the
# families of the types that the header of that name declares; a plugin
# exports its one entry.
set -eu
root=$1
build=$2
cd "$root"
list=$(mktemp)
trap 'rm -f "$list"' EXIT

# Lines "SOURCE SYMBOL", from room/library.p/foo.c.o, or from
# pluri.p/room_foo.c.o of the program, which is built in the root.
find "$build/base" "$build/chunker" "$build/backends" "$build/meta" \
	"$build/fs" "$build/tools" "$build/pluri.p" -name '*.c.o' | sort |
while read -r object; do
	room=$(dirname "$(dirname "${object#"$build"/}")")
	source=$(basename "$object" .o)
	[ "$room" != . ] || source=${source%%_*}/${source#*_}
	[ "$room" = . ] || source=$room/$source
	# objects of files that are gone linger in a build directory
	[ -f "$source" ] || continue
	nm -g --defined-only "$object" |
		awk -v s="$source" 'NF == 3 { print s, $3 }'
done >"$list"

awk '
# The structs and enums that a header declares are families of its functions.
function learn(header, stem,   line, word)
{
	while ((getline line < header) > 0)
		if (match(line, /^(struct|enum) [a-z0-9_]+/)) {
			split(substr(line, RSTART, RLENGTH), word, " ")
			family[stem, word[2]] = 1
		}
	close(header)
}
function judge(path, symbol,   dir, stem, full, part)
{
	dir = path
	sub(/[^\/]*$/, "", dir)
	full = path
	sub(/^.*\//, "", full)
	sub(/[.]c$/, "", full)
	for (stem = full; ; sub(/_[^_]*$/, "", stem)) {
		if (symbol == stem || index(symbol, stem "_") == 1)
			return 1
		if (!((dir stem) in known)) {
			known[dir stem] = 1
			learn(dir stem ".h", dir stem)
			learn(dir stem "_int.h", dir stem)
		}
		for (part = symbol; ; sub(/_[^_]*$/, "", part)) {
			if ((dir stem, part) in family)
				return 1
			if (part !~ /_/)
				break
		}
		if (stem !~ /_/)
			return 0
	}
}
$2 ~ /^_/ { next } # of the compiler and its sanitizers
$2 == "main" && $1 ~ /^tools\// { next }
$2 == "pluri_backend_entry" && $1 ~ /^backends\/[a-z0-9]+\// { next }
{
	symbols++
	if (!($1 in seen))
		files++
	seen[$1] = 1
	if (!judge($1, $2)) {
		printf "%s: exports %s\n", $1, $2
		failed++
	}
}
END {
	printf "exports: %d files, %d symbols, %d wrong\n", files, symbols,
		failed
	exit failed > 0 || files < 10 || symbols < 50
}' "$list"

modules=0
for so in "$build"/backends/*/pluri-*.so; do
	[ -f "$so" ] || continue
	got=$(nm -D --defined-only "$so" | awk '$3 !~ /^_/ { print $3 }')
	if [ "$got" != pluri_backend_entry ]; then
		echo "$so: exports" $got
		exit 1
	fi
	modules=$((modules + 1))
done
echo "exports: $modules plugins export their entry alone"
[ "$modules" -ge 3 ]
