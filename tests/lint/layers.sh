#!/bin/sh
# layers.sh ROOT - includes point down or sideways; pillars do not know each
# other; a foreign library is known in one room only.
set -eu
cd "$1"

find base chunker backends meta fs tools tests/unit -name '*.[ch]' | sort |
xargs awk '
function bad(why)
{
	printf "%s:%d: %s: %s\n", FILENAME, FNR, $0, why
	failed++
}
function room(path)
{
	sub(/^tests\/unit\//, "", path)
	sub(/\/.*/, "", path)
	return path
}
# A library with the one place, a pattern of paths, that may include it.
function only(header, where)
{
	if (name ~ header && FILENAME !~ where && FILENAME !~ /^tests\//)
		bad("only " where " may include this")
}
BEGIN {
	may["base"] = " base "
	may["chunker"] = " chunker base "
	may["backends"] = " backends base "
	may["meta"] = " meta base "
	may["fs"] = " fs chunker backends meta base "
	may["tools"] = " tools fs chunker backends meta base "
}
FNR == 1 { files++ }
/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, part, "\"")
	includes++
	to = part[2]
	if (to !~ /\//)
		bad("write the path from the root")
	else if ((getline line < to) < 0)
		bad("there is no such file")
	close(to)
	if (FILENAME ~ /^tests\// && to ~ /^tests\//)
		next
	if (index(may[room(FILENAME)], " " room(to) " ") == 0)
		bad(room(FILENAME) "/ may include" may[room(FILENAME)] "only")
}
/^[ \t]*#[ \t]*include[ \t]*</ {
	split($0, part, /[<>]/)
	name = part[2]
	includes++
	only("^curl/", "^backends/http(_[a-z]+)?[.][ch]$")
	only("^(sqlite3|libpq)", "^meta/db_[a-z_]+[.][ch]$")
	only("^fuse", "^fs/fuse(_[a-z]+)?[.][ch]$")
	only("^(zstd|isa-l)", "^chunker/")
	only("^openssl/", "^(chunker|backends/[a-z0-9]+)/")
	only("^expat", "^backends/")
	only("^dlfcn", "^backends/registry[.]c$")
	if (name ~ /^plurifs\//)
		bad("that is for plugins from outside")
}
END {
	printf "layers: %d files, %d includes, %d wrong\n", files, includes,
		failed
	exit failed > 0 || files < 20 || includes < 50
}'
