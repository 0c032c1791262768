/*
 * modelrun - random operations on a mount and, alike, on a directory of this
 * machine, by several processes; remounts, dropped caches and deaths of the
 * daemon in between. What is answered must be the same.
 *
 *   modelrun --ref DIR --mount DIR --work DIR --event COMMAND
 *            [--seed N] [--procs N] [--no-crash] [--no-race]
 *            [--steps N] [--batches N] [--minutes N] (goes on for all three)
 *            [--data (of two files, and nothing else)]
 *            [--crashes (and nothing else)]
 *   modelrun ... --replay TRACE
 *   modelrun ... --own (a sequence that is known to be hard)
 *
 * COMMAND gets one word: drop, clear, remount, kill (at any time), recover.
 * A batch is 100 to 1000 operations of each process. The same seed with one
 * process and --no-crash does the same. A sequence that fails is cut down to
 * what still does, and kept.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <fcntl.h>
#include <grp.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/modelrun_run.h"

#define RUN_KILLER_OPS 400u /* done while a killer starts, at most */

struct run {
	struct model_place at;
	struct model_random random;
	uint64_t seed, steps, least, minutes, done;
	unsigned procs;
	bool no_crash, no_race, data, only_crashes, own;
	const char *replay;
	struct model_worker worker[MODEL_PROCS_MAX];
	unsigned batches, races, crashes, events;
};

static bool run_wrong(const struct model_place *at, const char *what,
	unsigned who, const char *why)
{
	model_say(at, "%s, process %u: %s", what, who, why);
	return false;
}

/* --- the beginning --- */

static void run_probe(struct run *r, struct model_gen *g)
{
	static const uint8_t acl[] = {2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255,
		255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255,
		255};
	char path[MODEL_PATH];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/probe", r->at.mount);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	g->acl = setxattr(path, "system.posix_acl_access", acl, sizeof(acl),
			 0) == 0;
	(void)close(fd);
	(void)unlink(path);
	fd = open(r->at.mount, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	g->tmpfile = fd >= 0;
	if (fd >= 0)
		(void)close(fd);
}

static int run_fresh(struct model_worker *w)
{
	if (model_tree_copy(w->ref, w->base) < 0)
		return -EIO;
	memset(w->shared, 0, sizeof(*w->shared));
	free(w->op);
	w->op = NULL;
	w->ops = 0;
	return model_trace_save(w->trace, NULL, 0);
}

static int run_place(struct run *r, struct model_worker *w, unsigned i)
{
	w->at = &r->at;
	w->number = i;
	(void)snprintf(w->ref, MODEL_PATH, "%s/p%u", r->at.ref, i);
	(void)snprintf(w->mount, MODEL_PATH, "%s/p%u", r->at.mount, i);
	(void)snprintf(w->base, MODEL_PATH, "%s/base%u", r->at.work, i);
	(void)snprintf(w->trace, MODEL_PATH, "%s/trace%u", r->at.work, i);
	w->gen.random.state = model_hash(r->seed) + i;
	w->gen.next = (uint64_t)i << 40 | 1;
	w->gen.data = r->data;
	run_probe(r, &w->gen);
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->shared == MAP_FAILED)
		return -errno;
	if (r->replay || r->own)
		return 0;
	if (mkdir(w->ref, 0777) < 0 || mkdir(w->mount, 0777) < 0)
		return -errno;
	return run_fresh(w);
}

/* A death in the first moments must not take the places with it: that would
 * be lawful, and nobody could tell. */
static int run_settle(const struct run *r)
{
	const int fd = open(r->at.mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const int e = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		(void)close(fd);
	return e;
}

/* --- a batch --- */

static bool run_compare(struct run *r, const char *when)
{
	char why[MODEL_TEXT];

	for (unsigned i = 0; i < r->procs; i++) {
		struct model_worker *w = &r->worker[i];

		if (model_tree_same(w->ref, w->mount, w->shared, why))
			continue;
		(void)run_wrong(&r->at, when, i, why);
		for (unsigned j = 0; j < r->procs; j++)
			model_worker_end(&r->worker[j]);
		model_shrink(w);
		return false;
	}
	return true;
}

static void run_pause(uint64_t ms)
{
	struct timespec t = {
		.tv_sec = (time_t)(ms / 1000), .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL);
}

/* All workers do a batch; killed: the daemon may die meanwhile. */
static bool run_work(struct run *r, uint64_t steps, bool killed)
{
	struct model_worker *bad = NULL;
	char tell[MODEL_TEXT];

	for (unsigned i = 0; i < r->procs; i++)
		model_worker_go(&r->worker[i], steps);
	if (killed) {
		run_pause(5 + model_draw(&r->random, 1500));
		(void)model_event(&r->at, "kill");
	}
	for (unsigned i = 0; i < r->procs; i++) {
		const size_t before = r->worker[i].ops;
		const int code = model_worker_wait(&r->worker[i]);

		r->done += r->worker[i].ops - before;
		if (code == 0 || (code < 0 && killed) || bad)
			continue;
		bad = &r->worker[i];
		model_tell(&bad->op[bad->ops - 1], tell);
		model_say(&r->at, "operation %zu of process %u: %s", bad->ops,
			i, tell);
		model_say(&r->at, "%s", bad->why);
	}
	if (!bad)
		return true;
	for (unsigned i = 0; i < r->procs; i++)
		model_worker_end(&r->worker[i]);
	if (!killed || model_event(&r->at, "recover") == 0)
		model_shrink(bad);
	return false;
}

static bool run_note(struct run *r, uint32_t kind)
{
	const struct model_op op = {.kind = kind};

	for (unsigned i = 0; i < r->procs; i++) {
		if (kind == MODEL_REMOUNT)
			model_worker_end(&r->worker[i]);
		if (model_worker_note(&r->worker[i], &op) < 0)
			return false;
	}
	r->events++;
	return model_event(&r->at, model_kind_name(kind)) == 0 ||
	       run_wrong(&r->at, "event", 0, model_kind_name(kind));
}

static bool run_between(struct run *r)
{
	const uint64_t n = model_draw(&r->random, 20);

	if (n >= 12)
		return true;
	return run_note(r, n < 5   ? MODEL_DROP
			   : n < 8 ? MODEL_CLEAR
				   : MODEL_REMOUNT) &&
	       run_compare(r, "afterwards");
}

static bool run_plain(struct run *r)
{
	return run_work(r, 100 + model_draw(&r->random, 900), false) &&
	       run_compare(r, "after a batch") && run_between(r);
}

static bool run_resync(struct model_worker *w)
{
	char why[MODEL_TEXT];

	if (model_tree_copy(w->mount, w->ref) < 0)
		return run_wrong(w->at, "copying", w->number, "it failed");
	if (run_fresh(w) < 0)
		return run_wrong(
			w->at, "copying", w->number, "no copy of the copy");
	return model_tree_same(w->ref, w->mount, w->shared, why) ||
	       run_wrong(w->at, "the copy", w->number, why);
}

/* Of one subtree: is it what it may be? */
static bool run_crash_judge(struct model_worker *w)
{
	const struct model_op op = {.kind = MODEL_KILL};
	char why[MODEL_TEXT];

	if (model_crash_check(w, why))
		return true;
	(void)run_wrong(w->at, "after a crash", w->number, why);
	if (model_worker_note(w, &op) == 0)
		model_keep(w, w->op, w->ops);
	return false;
}

static bool run_crash(struct run *r)
{
	bool fine = run_work(r, 20000, true);

	r->crashes++;
	for (unsigned i = 0; i < r->procs; i++)
		model_worker_end(&r->worker[i]);
	if (!fine)
		return false;
	if (model_event(&r->at, "recover") < 0)
		return run_wrong(&r->at, "event", 0, "recover");
	for (unsigned i = 0; i < r->procs && fine; i++)
		fine = run_crash_judge(&r->worker[i]) &&
		       run_resync(&r->worker[i]);
	return fine;
}

static bool run_race(struct run *r)
{
	char why[MODEL_TEXT] = "";

	r->races++;
	return model_race(&r->at, r->procs, model_draw(&r->random, UINT64_MAX),
		       500 + model_draw(&r->random, 3000), why) ||
	       run_wrong(&r->at, "race", 0, why);
}

static bool run_batch(struct run *r)
{
	const uint64_t n = model_draw(&r->random, 100);

	r->batches++;
	if (r->only_crashes)
		return run_crash(r);
	if (n < 15 && !r->no_race)
		return run_race(r);
	if (n < 35 && !r->no_crash)
		return run_crash(r);
	return run_plain(r);
}

static bool run_all(struct run *r)
{
	const time_t end = time(NULL) + (time_t)(60 * r->minutes);
	bool fine = true;

	while (fine && (r->done < r->steps || r->batches < r->least ||
			       time(NULL) < end))
		fine = run_batch(r);
	for (unsigned i = 0; i < r->procs; i++)
		model_worker_end(&r->worker[i]);
	(void)printf("# seed %llu: %llu operations of %u processes; %u "
		     "batches, %u of them races, %u crashes; %u events\n",
		(unsigned long long)r->seed, (unsigned long long)r->done,
		r->procs, r->batches, r->races, r->crashes, r->events);
	return fine;
}

/* The last operation is the kill; before: it comes about so much earlier. */
static bool run_again_killed(struct run *r, size_t before)
{
	struct model_worker *w = &r->worker[0];

	w->ops--;
	if (model_replay_killed(w, w->op, before, &w->ops) != 0)
		return run_wrong(&r->at, "replay", 0, "not to its end");
	(void)model_trace_save(w->trace, w->op, w->ops);
	if (model_event(&r->at, "recover") < 0)
		return run_wrong(&r->at, "event", 0, "recover");
	return run_crash_judge(w);
}

static bool run_again(struct run *r)
{
	struct model_worker *w = &r->worker[0];
	char why[MODEL_TEXT];
	char tell[MODEL_TEXT];
	int code;

	(void)snprintf(w->base, sizeof(w->base), "%s.base", r->replay);
	if (access(w->base, F_OK) < 0 && mkdir(w->base, 0777) < 0)
		return run_wrong(&r->at, "replay", 0, w->base);
	if (model_trace_load(r->replay, &w->op, &w->ops) < 0)
		return run_wrong(&r->at, "replay", 0, r->replay);
	for (size_t i = 0; i < w->ops && w->ops < 200; i++) {
		model_tell(&w->op[i], tell);
		(void)printf("#   %s\n", tell);
	}
	if (w->ops > 0 && w->op[w->ops - 1].kind == MODEL_KILL)
		return run_again_killed(
			r, (size_t)getpid() % RUN_KILLER_OPS + 1);
	code = model_replay(w, w->op, w->ops, why);
	if (code)
		model_shrink(w);
	return code == 0 || run_wrong(&r->at, "replay", 0, why);
}

/* What is known to be hard. */
static bool run_own(struct run *r)
{
	struct model_worker *w = &r->worker[0];
	const struct model_op *op = NULL;

	w->ops = model_own_cut(&op);
	w->op = malloc(w->ops * sizeof(*op));
	if (!w->op || mkdir(w->base, 0777) < 0)
		return run_wrong(&r->at, "own", 0, w->base);
	memcpy(w->op, op, w->ops * sizeof(*op));
	return run_again_killed(r, 0);
}

/* --- options --- */

static bool run_option(struct run *r, int letter)
{
	switch (letter) {
	case 'r':
		r->at.ref = optarg;
		return true;
	case 'm':
		r->at.mount = optarg;
		return true;
	case 'w':
		r->at.work = optarg;
		return true;
	case 'e':
		r->at.event = optarg;
		return true;
	case 's':
		r->seed = strtoull(optarg, NULL, 10);
		return true;
	case 'p':
		r->procs = (unsigned)strtoul(optarg, NULL, 10);
		return r->procs > 0 && r->procs <= MODEL_PROCS_MAX;
	case 'n':
		r->steps = strtoull(optarg, NULL, 10);
		return true;
	case 'b':
		r->least = strtoull(optarg, NULL, 10);
		return true;
	case 't':
		r->minutes = strtoull(optarg, NULL, 10);
		return true;
	case 'C':
		return r->no_crash = true;
	case 'R':
		return r->no_race = true;
	case 'd':
		return r->data = true;
	case 'c':
		return r->only_crashes = true;
	case 'o':
		return r->own = true;
	case 'a':
		r->replay = optarg;
		return true;
	default:
		return false;
	}
}

static bool run_options(struct run *r, int argc, char **argv)
{
	static const struct option options[] = {
		{"ref", required_argument, NULL, 'r'},
		{"mount", required_argument, NULL, 'm'},
		{"work", required_argument, NULL, 'w'},
		{"event", required_argument, NULL, 'e'},
		{"seed", required_argument, NULL, 's'},
		{"procs", required_argument, NULL, 'p'},
		{"steps", required_argument, NULL, 'n'},
		{"batches", required_argument, NULL, 'b'},
		{"minutes", required_argument, NULL, 't'},
		{"no-crash", no_argument, NULL, 'C'},
		{"no-race", no_argument, NULL, 'R'},
		{"data", no_argument, NULL, 'd'},
		{"crashes", no_argument, NULL, 'c'},
		{"own", no_argument, NULL, 'o'},
		{"replay", required_argument, NULL, 'a'},
		{NULL, 0, NULL, 0},
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!run_option(r, letter))
			return false;
	return r->at.ref && r->at.mount && r->at.work && r->at.event;
}

int main(int argc, char **argv)
{
	static struct run r = {.procs = 3, .steps = 1000};
	bool fine = true;

	r.seed = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
	if (!run_options(&r, argc, argv)) {
		(void)fprintf(stderr, "modelrun: see its first lines\n");
		return 2;
	}
	(void)umask(0);
	(void)setgroups(0, NULL);
	(void)signal(SIGPIPE, SIG_IGN); /* of fifos */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)printf("# seed %llu\n", (unsigned long long)r.seed);
	model_keep_begin(&r.at, r.seed);
	r.random.state = model_hash(~r.seed);
	for (unsigned i = 0; i < r.procs; i++)
		if (run_place(&r, &r.worker[i], i) < 0) {
			perror("modelrun: beginning");
			return 2;
		}
	if (run_settle(&r) < 0) {
		perror("modelrun: syncing the mount");
		return 2;
	}
	fine = r.own ? run_own(&r) : r.replay ? run_again(&r) : run_all(&r);
	if (!fine)
		model_keep_tell(&r.at);
	return !fine;
}
