#!/bin/sh
# build.sh OUTDIR BUILDDIR [CFLAGS...] - build the example plugin as a stranger
# would: against what BUILDDIR installs, found by pkg-config, with nothing of
# this tree on the include path. OUTDIR gets pluri-example.so.
set -eu

out=$1
build=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)

mkdir -p "$out"
out=$(cd "$out" && pwd)
stage=$out/stage
meson install -C "$build" --destdir "$stage" --no-rebuild --tags devel \
	>"$out/install.log"

pc=$(find "$stage" -name plurifs.pc)
[ -n "$pc" ] || { echo "plurifs.pc was not installed" >&2; exit 1; }

PKG_CONFIG_LIBDIR=$(dirname "$pc") PKG_CONFIG_SYSROOT_DIR=$stage \
	make -s -B -C "$here/example" OUT="$out" \
	CFLAGS="-O2 -g -Wall -Wextra -Werror $*"
