#!/bin/sh
# words.sh ROOT - no promises to do it later, no paths of one machine, no
# hosts of package registries. The words are put together here so that this
# file may be judged as well.
set -eu
cd "$1"

later="TO""DO|FIX""ME|XX""X|HA""CK"
place="(^|[[:space:]\"'=(:,])/(wo""rk|ro""ot|home/[a-z]+)/"
hosts="(regis""try|mirror|proxy|index)\\.[a-z0-9-]+\\.(org|com|io|dev|net)"
hosts="$hosts|py""pi\\.org|npm""js|crates\\.""io|arti""factory"

list=$(mktemp)
trap 'rm -f "$list"' EXIT
find . -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' \
	-o -name '*.md' -o -name '*.sql' -o -name '*.ini' -o -name '*.service' \
	-o -name '*.[1-9]' -o -name '*.yml' -o -name 'meson*' \
	-o -name Makefile \) \
	-not -path './.git/*' -not -path './build*/*' | sort >"$list"

failed=0
look() # WHY PATTERN [GREP OPTION]
{
	if xargs grep -nIE ${3-} -e "$2" <"$list"; then
		echo "words: above: $1"
		failed=1
	fi
}
look 'do it now, or write it down elsewhere' "$later" -w
look 'a path of one machine' "$place"
look 'a host of a package registry' "$hosts"

files=$(wc -l <"$list")
echo "words: $files files, failed $failed"
[ "$failed" = 0 ] && [ "$files" -ge 50 ]
