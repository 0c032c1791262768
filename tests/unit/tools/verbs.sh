#!/bin/sh
# verbs.sh PROGRAM - the verbs over an engine of fixed answers (engine.c): what
# they ask, what they show, how they exit. TAP.
set -u
dir=$(mktemp -d "${TMPDIR:-/tmp}/pluri-verbs-XXXXXX")
trap 'rm -rf "$dir"' EXIT
program=$(realpath "$1")
# A second name, since argv[0] tells mount(8)'s helper from the command.
ln -s "$program" "$dir/mount.fuse.pluri"
cd "$dir" || exit 1
mkdir st mnt
cat >v.ini <<INI
[volume]
name = v
state = st
[store "a"]
backend = local
url = a
INI
n=0

# SUBJECT STATUS PATTERN ARGUMENT...: exits so, and its output has the pattern.
try()
{
	name=$1 want=$2 pattern=$3
	shift 3
	n=$((n + 1))
	got=0
	"$program" "$@" >out 2>&1 </dev/null || got=$?
	if [ "$got" = "$want" ] && grep -qE -e "$pattern" out; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		echo "# exit status $got, wanted $want and /$pattern/ in:"
		sed 's/^/# /' out
	fi
}
with() { ENGINE=$1 && export ENGINE && shift && try "$@"; unset ENGINE; }

try version__asked__told 0 '^pluri [0-9]+[.]' --version
try help__asked__lists_verbs 0 '^  umount ' --help
try verb__misspelt__nearest 1 'did you mean "status"' statuss v.ini
try verb__none__refused 1 'what shall be done'
try ini__misspelt__where_it_looked 2 '/etc/plurifs/nosuch.ini' status nosuch

try status__warning__exit_1 1 '^volume v: warning, mounted at /m' status v.ini
try status__store_down__told 1 'draining  NO .* down: refused' status v.ini
try status__control_characters__gone 1 'b is[?]\[31m down' status v.ini
try status__json__the_answer 1 '^  "pending_bytes": 2048,' status --json v.ini
try stats__not_mounted__exit_1 1 'v is not mounted' stats v.ini
with live stats__once__totals 0 '^write +100  200.0 KiB +0.050 +0.064' stats v.ini
with live stats__pending__with_its_age 0 '2.0 KiB staged.* for 2.5 s' stats v.ini
with live stats__cache__share_found 0 '^cache +75.0 % of 40 found' stats v.ini
with live stats__garbage__share 0 '^garbage  75.0 % of 4.0 KiB .*, 2.0 KiB ' \
	stats v.ini
with live stats__store__cleaned 0 '^a[?]\[1m DOWN +- +- +- +3 .* 20 ' stats v.ini
with live stats__json__the_answer 0 '"hits_total": 30' stats --json v.ini
with live stats__watch_nonsense__refused 1 'seconds, from 0.1' \
	stats v.ini --watch=often
with gone stats__watch__rates 1 '^write +100  200.0 KiB' stats v.ini --watch 0.1
with gone stats__watch_store__rates 1 '^a.* DOWN +- +- +- +3.0 ' \
	stats v.ini --watch=0.1
with gone stats__daemon_gone__told 1 'v is watched no more: nobody answers' \
	stats --watch 0.1 v.ini
with gone stats__watch_json__a_line_each 1 '^\{"cache":\{"hits_total":60' \
	stats --watch 0.1 --json v.ini
try policy__list__a_table 0 '^default  mirror:2  a b ' policy list v.ini
try policy__other__refused 1 'knows "list" only' policy get v.ini
try cache__clear__both_told 0 'kept 1 packs, 5 B: not in' cache clear v.ini
try plan__pending__exit_2 2 '^store-add +c +new' plan v.ini
try plan__asks_with_the_ini 2 "asked plan .*\"config\":\"$dir/v.ini\"" plan v.ini
try plan__out__written 2 'to move: 2 shards, 4.0 KiB' plan v.ini --out p.json
try plan__out_again__same 2 'to move' plan v.ini --out=p.json
try apply__no_changes__told 0 '^no changes' apply v.ini
try apply__dry_run__asks_plan 0 'asked plan' apply v.ini --dry-run
try drain__waits__moved 0 '^drain: moved 4 shards' drain v.ini b
try drain__asks_with_the_store 0 'asked drain \{"store":"b"\}' drain v.ini b
try drain__dry_run__no_drain 0 '^to move: 9 shards' drain v.ini b --dry-run
with fail drain__job_failed__exit_1 1 'drain failed: full' drain v.ini b
try rebalance__background_unmounted__refused 1 'is not mounted' \
	rebalance v.ini --background
with live rebalance__background__returns 0 '^rebalance: job 4 moves' \
	rebalance v.ini --background
try jobs__one__listed 0 '^  4  drain +b +running' jobs v.ini
try where__elsewhere__refused 1 'not in a mounted volume' where .
try umount__elsewhere__refused 1 'not in a mounted volume' umount .

try create__made__kit 0 '^  key +file:.*/st/volume.key \(made now\)' create v.ini
printf '%064d\n' 7 >st/volume.key
chmod 600 st/volume.key
try create__print_key__digits 0 'digits +0{63}7$' create v.ini --print-key
try create__kit__no_digits 0 'Recovery kit' create v.ini
n=$((n + 1))
if grep -q 00000007 out; then echo "not ok $n - create__kit__no_digits_in_it"
else echo "ok $n - create__kit__no_digits_in_it"; fi
with fail create__is_there__refused 1 'pluri: .*st is there' create v.ini

try probe__one_store__a_line 0 '^a +put +ok +1.5  text' probe v.ini a
try probe__conformance__passed_on 0 'paging' probe v.ini --conformance
with fail probe__step_failed__exit_1 1 'FAILED' probe v.ini
with fail probe__json__exit_1 1 '"ok": false' probe v.ini --json

try mount__answers__exit_0 0 '"mounted": "mnt"' mount v.ini mnt --json
try mount__foreground__log_here 0 '^mount v -o ro' mount v.ini mnt -f -o ro
with fail mount__fails__its_story 1 'unknown option' mount v.ini mnt
with die mount__dies__the_log_named 1 'st/daemon.log may say' mount v.ini mnt
try mount__no_directory__told 1 'nodir: cannot be mounted on' mount v.ini nodir
program=$dir/mount.fuse.pluri
with die mount_helper__their_options__left_out 1 'daemon.log' \
	v.ini mnt -n -o rw,_netdev,x-y=1,allow_other,nofail
n=$((n + 1))
if grep -q '^mount v -o rw,allow_other$' st/daemon.log; then
	echo "ok $n - mount_helper__our_options__passed_on"
else
	echo "not ok $n - mount_helper__our_options__passed_on"
	sed 's/^/# /' st/daemon.log
fi
echo "1..$n"
