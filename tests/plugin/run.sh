#!/bin/sh
# run.sh BUILDDIR PROGRAM - the out-of-tree plugin loads and conforms; broken
# ones are refused, each for its own reason.
set -eu

build=$1
program=$2
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$here/build.sh" "$dir/good" "$build"
PLURI_PLUGINS=$dir/good "$program" conform example "example:$dir/objects"

refused() # FLAG MESSAGE
{
	"$here/build.sh" "$dir/$1" "$build" "-D$1"
	PLURI_PLUGINS=$dir/$1 "$program" refuse example "$2"
}
refused BAD_ABI 'speaks plugin ABI 2, this plurifs speaks ABI 1'
refused NO_SYMBOL 'exports no pluri_backend_entry()'
refused SHORT 'its operations take 64 bytes, ABI 1 has 72'

mkdir "$dir/none"
PLURI_PLUGINS=$dir/none "$program" refuse example "$dir/none"
