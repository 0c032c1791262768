#!/bin/bash
# balance.sh - stores come and go under a mount that is read and written all
# the time, and the daemon dies in the middle of moving: the content stays, no
# object is left over, and nothing is moved that may stay.
#
# Cold reads: nothing is kept locally but what has to be. The two stores that
# are killed over take their time, so that there is a middle.
. "$(dirname "$0")/lib.sh"

files=${FILES:-170} # each a pack of its own, two shards

start_test
orig=$dir/orig
mkdir "$orig" "$dir/seen"

# --- the INI, from what is wanted -------------------------------------------

declare -A weight=([a]=1 [b]=1 [c]=1 [d]=1)

ini_of() { # STORE...
	local s
	volume_ini 'cache = 0' 'memory_cache = 8M' 'timeout = 5s'
	for s; do
		case $s in
		b | d)
			store_ini $s fault "fault:local:$dir/$s" \
				"fault_file = $dir/$s.fault" \
				"fault_log = $dir/$s.log" ;;
		*) store_ini $s local "$dir/$s" ;;
		esac
		[ ${weight[$s]} = 1 ] || echo "weight = ${weight[$s]}" >>"$ini"
	done
	policy_ini 'layout = mirror:2' 'pack = 1M' 'pack_age = 2s'
}

slow() { # STORE [RULE]: replaced in one step, as the fault plugin wants it
	printf '%s\n' "${2-#}" >"$dir/$1.fault.new"
	mv "$dir/$1.fault.new" "$dir/$1.fault"
}

# Without what a put was writing when it was killed: it has no name yet.
shards_in() { # STORE
	(cd "$dir/$1" && find . -path ./.tmp~ -prune -o \
		-type f ! -name pluri-volume -print | sort)
}

# --- readers and writers ----------------------------------------------------

# One that saw the daemon die is excused; one that saw wrong bytes is not.
excused() { [ -e "$dir/dying" ]; }

read_always() {
	local f
	while ! excused; do
		for f in $(find "$orig" -type f -printf '%P\n' | shuf -n 20); do
			dd if="$mnt/$f" bs=1M iflag=direct status=none \
				2>"$dir/read.err" >"$dir/read.now" || {
				excused && return
				echo "$f: $(cat "$dir/read.err")" >>"$dir/wrong"
				return
			}
			cmp -s "$dir/read.now" "$orig/$f" ||
				echo "$f: other bytes" >>"$dir/wrong"
			echo >>"$dir/reads"
		done
	done
}

# A name is in $orig once it was acknowledged.
write_always() { # DIRECTORY
	local n=0 f
	mkdir "$mnt/$1" "$orig/$1" || return
	while ! excused; do
		f=$1/$((n += 1))
		head -c 150000 /dev/urandom >"$dir/write.now"
		dd if="$dir/write.now" of="$mnt/$f" bs=64K conv=fsync \
			status=none 2>"$dir/write.err" || {
			excused && return
			echo "$f: $(cat "$dir/write.err")" >>"$dir/wrong"
			return
		}
		cp "$dir/write.now" "$dir/write.done"
		mv "$dir/write.done" "$orig/$f"
		sleep 0.3 # its pace
	done
}

lives=0
begin_life() { # mounted, and in use
	mount_it || return 1
	rm -f "$dir/dying"
	lives=$((lives + 1))
	read_always &
	children=($!)
	write_always "life$lives" &
	children+=($!)
}

end_use() {
	: >"$dir/dying"
	wait ${children[@]+"${children[@]}"}
	children=()
}

die() {
	: >"$dir/dying"
	kill_daemon
	unmount_dead
	end_use
}

equal() { # without the last words of those who saw it die
	local f
	[ ! -s "$dir/wrong" ] || { sed 's/^/# /' "$dir/wrong"; return 1; }
	forget || return 1
	while read -r -d '' f; do
		cmp "$orig/$f" "$mnt/$f" || return 1
	done < <(find "$orig" -type f -printf '%P\0')
}

# --- asking -----------------------------------------------------------------

ask_json() { # PYTHON COMMAND...: of the command's JSON, as j
	local py=$1
	shift
	"$pluri" "$@" --json 2>/dev/null | python3 -c "
import json, sys
try:
    j = json.load(sys.stdin)
except ValueError:
    sys.exit(1)
r = ($py)
if isinstance(r, bool):
    sys.exit(not r)
print(r)"
}

job_now() { ask_json "j['jobs'][0]['$1']" jobs "$ini"; }
job_middle() { # STORE AT-MOST: some were moved, and so many are there still
	ask_json "j['jobs'][0]['state'] == 'running' and
	0 < j['jobs'][0]['shards'] < j['jobs'][0]['total_shards']" \
		jobs "$ini" && [ $(shards_in $1 | wc -l) -le $2 ]
}
job_done() { [ "$(job_now state)" = done ]; }
job_says() { job_now message | grep -q "$1"; }

plan_exit() { # WANTED
	"$pluri" plan "$ini" >"$dir/plan.txt" 2>&1
	[ $? = "$1" ] && return 0
	sed 's/^/# /' "$dir/plan.txt"
	return 1
}
plan_says() { grep -qE "$1" "$dir/plan.txt" ||
	{ sed 's/^/# /' "$dir/plan.txt"; return 1; }; }
run() { "$pluri" "$@" >"$dir/run.out" 2>&1 ||
	{ sed 's/^/# /' "$dir/run.out"; return 1; }; }

# Users rest, all is sent: each object is one that status counts.
no_orphans() { # STORE...
	local s n
	for s; do
		n=$(shards_in $s | wc -l)
		[ "$n" = "$(status_get stores $s objects)" ] && continue
		note "$s: $n objects, status: $(status_get stores $s objects)"
		return 1
	done
}

settled() { # STORE...: at a quiet moment
	end_use
	run sync "$mnt" && wait_well 60 && no_orphans "$@" && equal
}

kill_in_the_middle() { # WHAT STORE AT-MOST
	check "$1: in the middle" wait_for 60 job_middle $2 $3
	die
	begin_life
}

# --- a store is added -------------------------------------------------------

mkdir "$dir/a" "$dir/b" "$dir/c" "$dir/d"
slow b
slow d
ini_of a b c
create || bail "create"
mount_it || bail "mount"
mkdir "$orig/base" "$mnt/base"
head -c $((files * 530000)) /dev/urandom |
	split -a 4 -b 530000 - "$orig/base/"
cp -r "$orig/base" "$mnt/" || bail "copying"
run sync "$mnt" || bail "sync"
check "no orphans at first" no_orphans a b c
for s in a b c; do shards_in $s >"$dir/seen/$s"; done
sort "$dir/seen/"[abc] >"$dir/seen/all"
note "$(wc -l <"$dir/seen/all") shards of $files files"
check "300 shards and more" test "$(wc -l <"$dir/seen/all")" -ge 300
check "plan: nothing to do" plan_exit 0
umount_it || bail "umount"

begin_life || bail "mount"
ini_of a b c d
check "plan: changes pending" plan_exit 2
check "plan names the store" plan_says '^store-add +d '
check "plan tells shards and bytes" \
	plan_says '^to move: [0-9]+ shards, [0-9.]+ MiB'
check "plan tells them by store" plan_says '^d +[0-9]+ +[0-9.]+ MiB +0 '
check "apply" run apply "$ini"
check "apply moves nothing" test -z "$(comm -12 <(shards_in d) "$dir/seen/all")"
check "plan: moves pending" plan_exit 2
check "plan has no changes" plan_says '^no changes'
slow d 'delay op=put delay_ms=400'
check "rebalance" run rebalance "$ini" --background
kill_in_the_middle rebalance a $files || bail "mount"
slow d
check "it goes on by itself to the end" wait_for 60 job_done
check "content equal, no orphans" settled a b c d
check "plan: nothing to do any more" plan_exit 0

comm -12 <(shards_in d) "$dir/seen/all" >"$dir/seen/moved"
moved=$(wc -l <"$dir/seen/moved")
holds=$(shards_in d | wc -l)
total=$(cat <(shards_in a) <(shards_in b) <(shards_in c) <(shards_in d) | wc -l)
puts=$(grep -c '^put packs/.* 0$' "$dir/d.log")
note "moved $moved; d holds $holds of $total; $puts puts there"
check "moved what the new store holds, not more" \
	test $((moved * 100)) -le $((holds * 110))
# Of P packs each store has half, by chance: sigma is sqrt(P) / 2. Four of it,
# since three would fail once in 370 runs.
check "about a quarter of the old shards is there" awk -v m=$moved -v p=$files \
	'BEGIN { d = m - p / 2; exit !(d * d <= 16 * p / 4) }'
still() { # no old shard came to a, b or c, and each is in one place
	local s
	for s in a b c; do
		[ -z "$(comm -12 "$dir/seen/all" <(shards_in $s) |
			comm -13 "$dir/seen/$s" -)" ] || return 1
	done
	cat <(shards_in a) <(shards_in b) <(shards_in c) <(shards_in d) |
		sort | comm -12 - "$dir/seen/all" | cmp - "$dir/seen/all"
}
check "no other shard was moved, none twice" still
# A death may lose what four movers and sixteen uploads had just put.
check "nothing written but those" test $puts -le $((holds + 20))

# --- weights, and a target that is away -------------------------------------

umount_it || bail "umount"
begin_life || bail "mount"
weight[d]=3
ini_of a b c d
check "re-weighted: plan" plan_exit 2
check "plan names the change" plan_says '^store-change +d .*weight'
check "apply" run apply "$ini"
mv "$dir/d" "$dir/d.away"
check "rebalance to a store that is away" run rebalance "$ini" --background
check "the job waits and says so" wait_for 60 job_says '\bd\b'
note "it says: $(job_now message)"
check "it does not give up" test "$(job_now state)" = running
mv "$dir/d.away" "$dir/d"
check "it goes on when the store is back" wait_for 60 job_done
check "content equal, no orphans" settled a b c d
check "plan: nothing to do" plan_exit 0
note "d holds $(shards_in d | wc -l) now"
check "the heavier store has more" test "$(shards_in d | wc -l)" -gt $holds

# --- a store is drained -----------------------------------------------------

umount_it || bail "umount"
begin_life || bail "mount"
slow b 'delay op=del delay_ms=300'
n=$(shards_in b | wc -l)
check "drain" run drain "$ini" b --background
kill_in_the_middle drain b $((n * 9 / 10)) || bail "mount"
kill_in_the_middle "drain again" b $((n * 7 / 10)) || bail "mount"
slow b
check "it goes on by itself to the end" wait_for 60 job_done
check "no file of ours is left there" test -z "$(find "$dir/b" -type f)"
check "content equal, no orphans" settled a b c d
check "drained" test "$(status_get stores b state)" = drained
check "plan: nothing to do" plan_exit 0

# --- stores are removed -----------------------------------------------------

umount_it || bail "umount"
begin_life || bail "mount"
ini_of a c d
check "removed when empty: plan" plan_exit 2
check "plan names it" plan_says '^store-remove +b '
check "apply" run apply "$ini"
check "it is forgotten" test -z "$(status_get stores b state 2>/dev/null)"
check "plan: nothing to do" plan_exit 0
ini_of a d
check "removed when full: plan" plan_exit 2
check "plan tells what must be moved" plan_says '^c +0 .* MiB'
check "apply" run apply "$ini"
check "rebalance, waiting for it" run rebalance "$ini"
check "no file of ours is left there" test -z "$(find "$dir/c" -type f)"
check "it is forgotten" test -z "$(status_get stores c state 2>/dev/null)"
check "content equal, no orphans" settled a d
check "plan: nothing to do" plan_exit 0
note "$(wc -l <"$dir/reads") reads, $(find "$orig" -type f | wc -l) files"
check "there was reading all the time" test "$(wc -l <"$dir/reads")" -gt 50
check "unmounted" umount_it
check "mounted, for the last time" mount_it
check "equal" equal
check "unmounted at last" umount_it
done_testing
