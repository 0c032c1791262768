#!/bin/sh
# docs.sh ROOT - docs/DESIGN.md has one line for each source file, and names
# none that is gone. A header is told of with its .c; one without, by itself.
set -eu
cd "$1"
doc=docs/DESIGN.md

named=$(mktemp)
there=$(mktemp)
trap 'rm -f "$named" "$there"' EXIT
if [ -f "$doc" ]; then
	grep -oE '`(base|chunker|backends|meta|fs|tools)/[a-z0-9_/]+\.[ch]`' \
		"$doc" | tr -d '`' | sort -u >"$named" || true
fi
if [ ! -s "$named" ]; then
	echo "docs: $doc lists no files yet: nothing to check"
	exit 77
fi

find base chunker backends meta fs tools -name '*.[ch]' | sort |
while read -r f; do
	case $f in
	*.h) [ -f "${f%.h}.c" ] || echo "$f" ;;
	*) echo "$f" ;;
	esac
done >"$there"

failed=0
while read -r f; do
	[ -f "$f" ] || { echo "$doc: names $f, which is gone"; failed=1; }
done <"$named"
missing=$(comm -13 "$named" "$there")
if [ -n "$missing" ]; then
	echo "$missing" | sed "s|^|$doc: does not tell of |"
	failed=1
fi
echo "docs: $(wc -l <"$there") files, $(wc -l <"$named") told of"
[ "$failed" = 0 ]
