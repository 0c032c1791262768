#!/bin/bash
# slow.sh - one of three mirrored stores is slow now and then, or falls silent
# amid reads: programs hardly notice, and every byte is right.
. "$(dirname "$0")/lib.sh"

start_test
volume_ini 'memory_cache = 4M' 'cache = 256M'
for s in a b c; do
	mkdir "$dir/$s"
	: >"$dir/fault.$s"
	store_ini $s fault "fault:local:$dir/$s" "fault_file = $dir/fault.$s" \
		"fault_log = $dir/calls.$s"
done
policy_ini 'layout = mirror:3' 'pack_age = 1s' 'min_providers = 1'

faults() { # STORE LINE...
	local f=$dir/fault.$1
	shift
	printf '%s\n' "$@" >"$f.new" && mv "$f.new" "$f"
}

gets() { grep -ci '^get' "$dir/calls.$1"; }

cat >"$dir/reads.py" <<'END'
import os, random, sys, threading, time
path, right, n, slow, after = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
right = open(right, "rb").read()
fd = os.open(path, os.O_RDONLY)
took = []
def work(seed):
    r = random.Random(seed)
    for _ in range(n):
        off = r.randrange(len(right) // 4096) * 4096
        start = time.monotonic()
        got = os.pread(fd, 4096, off)
        took.append(time.monotonic() - start)
        if got != right[off:off + 4096]:
            os._exit(2)
ts = [threading.Thread(target=work, args=(s,)) for s in range(4)]
for t in ts: t.start()
for t in ts: t.join()
took.sort()
late = sum(t * 1000 >= slow for t in took)
print("# %d reads, longest %.0f ms, p99 %.0f ms, %d of %d ms and more" % (
    len(took), took[-1] * 1000, took[len(took) * 99 // 100] * 1000, late, slow))
sys.exit(late > after)
END
# reads EACH MS MOST: at most MOST of 4 * EACH reads may take MS and more
reads() { python3 "$dir/reads.py" "$mnt/f" "$dir/f" "$@"; }

create || bail "create"
check "mounted" mount_it
head -c 48M /dev/urandom >"$dir/f"
cp "$dir/f" "$mnt/f"
check "in the clouds" wait_well 60

for s in a b c; do faults $s 'delay op=get delay_ms=20'; done
check "nothing is cached" forget
check "well: all bytes right" reads 150 1000 6

faults a 'delay op=get delay_ms=20' 'delay op=get delay_ms=1000 p=0.1 seed=7'
check "nothing is cached" forget
check "a tenth of a's answers takes a second: under 1 % of the reads do" \
	reads 150 1000 5

# b is the nearest now, so the reads are there when it happens
faults a 'delay op=get delay_ms=20'
faults b 'delay op=get delay_ms=4'
check "nothing is cached" forget
before=$(gets b)
check "b is near: all bytes right" reads 100 1000 4
check "b was asked for most" test $(($(gets b) - before)) -ge 200
(sleep 0.5 && faults b 'hang op=all') &
check "b falls silent amid reads: none takes 2 s" reads 250 2000 0
wait $!
before=$(gets b)
check "nothing is cached" forget
check "b is silent: none takes a second" reads 150 1000 0
check "b was asked for samples at most" test $(($(gets b) - before)) -le 12

faults b
check "unmounted" umount_it
done_testing
