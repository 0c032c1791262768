/*
 * modelrun_worker.c - the processes of a subtree: one draws operations and
 * does most of them, its twin does the others, so that locks and caches of
 * two meet. They live from one mount to the next and keep descriptors open.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/modelrun_run.h"

struct worker_crew {
	struct model_pair pair;
	const char *ref, *mount;
	struct model_shared *shared;
	int twin, to, from; /* process and pipes */
};

struct worker_answer {
	int code;
	struct model_op op;
	char why[MODEL_TEXT];
};

struct worker_report {
	int code;
	uint64_t ops;
	struct model_gen gen;
	char why[MODEL_TEXT];
};

static bool worker_read(int fd, void *to, size_t len)
{
	return read(fd, to, len) == (ssize_t)len;
}

static void worker_write(int fd, const void *data, size_t len)
{
	if (write(fd, data, len) != (ssize_t)len)
		_exit(3);
}

/* A child with a pipe each way; 0 in the child. */
static int worker_fork(int *ret_to, int *ret_from)
{
	int to[2];
	int from[2];
	int pid;

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		abort();
	(void)fflush(stdout);
	pid = fork();
	if (pid < 0)
		abort();
	*ret_to = pid ? to[1] : from[1];
	*ret_from = pid ? from[0] : to[0];
	(void)close(pid ? to[0] : to[1]);
	(void)close(pid ? from[1] : from[0]);
	if (pid == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void worker_reap(int *pid, int to, int from)
{
	int status;

	if (*pid <= 0)
		return;
	(void)close(to);
	(void)close(from);
	(void)waitpid(*pid, &status, 0);
	*pid = 0;
}

/* --- a crew --- */

static void crew_twin(struct worker_crew *c)
{
	struct worker_answer a;

	while (worker_read(c->from, &a.op, sizeof(a.op))) {
		a.code = model_pair_do(&c->pair, &a.op);
		memcpy(a.why, c->pair.why, sizeof(a.why));
		worker_write(c->to, &a, sizeof(a));
	}
	model_pair_close(&c->pair);
	_exit(0);
}

static int crew_open(struct worker_crew *c)
{
	const int r = model_pair_open(&c->pair, c->ref, c->mount, c->shared);

	if (r < 0)
		return r;
	c->twin = worker_fork(&c->to, &c->from);
	if (c->twin == 0)
		crew_twin(c);
	return 0;
}

static void crew_close(struct worker_crew *c)
{
	worker_reap(&c->twin, c->to, c->from);
	model_pair_close(&c->pair);
}

static int crew_do(struct worker_crew *c, struct model_op *op, char why[])
{
	struct worker_answer a;
	int r;

	if (op->actor == 0) {
		r = model_pair_do(&c->pair, op);
		memcpy(why, c->pair.why, MODEL_TEXT);
		return r;
	}
	worker_write(c->to, op, sizeof(*op));
	if (!worker_read(c->from, &a, sizeof(a))) {
		(void)snprintf(why, MODEL_TEXT, "the twin has died");
		return 1;
	}
	*op = a.op;
	memcpy(why, a.why, MODEL_TEXT);
	return a.code;
}

/* --- a worker's process --- */

static void worker_batch(struct model_worker *w, struct worker_crew *c,
	int trace, uint64_t steps, struct worker_report *r)
{
	struct model_op op;

	r->code = 0;
	r->why[0] = 0;
	(void)lseek(trace, 0, SEEK_END); /* events were noted, too */
	for (r->ops = 0; r->ops < steps && r->code == 0;) {
		model_gen_draw(&w->gen, &op);
		worker_write(trace, &op, sizeof(op));
		r->code = crew_do(c, &op, r->why);
		if (r->code < 0)
			op.ret = 1;
		(void)lseek(trace, -(off_t)sizeof(op), SEEK_CUR);
		worker_write(trace, &op, sizeof(op));
		r->ops++;
		model_gen_learn(&w->gen, &op);
	}
	r->gen = w->gen;
}

static void worker_main(struct model_worker *w, int to, int from)
{
	static struct worker_report r;
	struct worker_crew c = {
		.ref = w->ref, .mount = w->mount, .shared = w->shared};
	uint64_t steps;
	const int trace = open(w->trace, O_WRONLY | O_CLOEXEC);

	if (trace < 0 || crew_open(&c) < 0)
		_exit(4);
	while (worker_read(from, &steps, sizeof(steps)) && steps > 0) {
		worker_batch(w, &c, trace, steps, &r);
		worker_write(to, &r, sizeof(r));
	}
	crew_close(&c);
	_exit(0);
}

void model_worker_go(struct model_worker *w, uint64_t steps)
{
	int to = -1;
	int from = -1;

	if (!w->pid) {
		w->pid = worker_fork(&to, &from);
		if (w->pid == 0)
			worker_main(w, to, from);
		w->to = to;
		w->from = from;
	}
	worker_write(w->to, &steps, sizeof(steps));
}

static void worker_learn(struct model_worker *w)
{
	struct model_op *op = NULL;
	size_t n = 0;

	if (model_trace_load(w->trace, &op, &n) < 0)
		abort();
	free(w->op);
	w->op = op;
	w->ops = w->room = n;
}

int model_worker_wait(struct model_worker *w)
{
	static struct worker_report r;

	w->why[0] = 0;
	if (!worker_read(w->from, &r, sizeof(r))) {
		(void)snprintf(w->why, sizeof(w->why), "its process has died");
		worker_learn(w);
		return 1;
	}
	w->gen = r.gen;
	memcpy(w->why, r.why, sizeof(w->why));
	worker_learn(w);
	return r.code;
}

void model_worker_end(struct model_worker *w)
{
	const uint64_t none = 0;

	if (w->pid) /* later ones hold its pipe open, too */
		worker_write(w->to, &none, sizeof(none));
	worker_reap(&w->pid, w->to, w->from);
}

int model_worker_note(struct model_worker *w, const struct model_op *op)
{
	const int fd = open(w->trace, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	worker_write(fd, op, sizeof(*op));
	(void)close(fd);
	worker_learn(w);
	return 0;
}

int model_event(const struct model_place *at, const char *what)
{
	char *const run = (char *)(uintptr_t)at->event;
	char *const word = (char *)(uintptr_t)what;
	char *const argv[] = {"bash", "-c", run, "event", word, NULL};
	int status = 0;
	int pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)execvp(argv[0], argv); /* its functions are exported */
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	return status == 0 ? 0 : -EIO;
}

/* --- the same again --- */

static int replay_event(
	struct worker_crew *c, const struct model_place *at, uint32_t kind)
{
	int r;

	if (kind != MODEL_REMOUNT)
		return model_event(at, model_kind_name(kind));
	crew_close(c);
	r = model_event(at, "remount");
	return r < 0 ? r : crew_open(c);
}

static int replay_all(struct model_worker *w, struct worker_crew *c,
	const struct model_op *op, size_t n, char why[])
{
	int r = crew_open(c);

	for (size_t i = 0; i < n && r == 0; i++) {
		struct model_op copy = op[i];

		if (op[i].kind >= MODEL_DROP)
			r = replay_event(c, w->at, op[i].kind);
		else
			r = crew_do(c, &copy, why);
	}
	crew_close(c);
	return r;
}

int model_replay(
	struct model_worker *w, const struct model_op *op, size_t n, char why[])
{
	char ref[MODEL_PATH + 16];
	char mount[MODEL_PATH + 16];
	struct model_shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct worker_crew c = {.ref = ref, .mount = mount, .shared = s};
	int r;

	(void)snprintf(ref, sizeof(ref), "%s.again", w->ref);
	(void)snprintf(mount, sizeof(mount), "%s.again", w->mount);
	why[0] = 0;
	if (s == MAP_FAILED || model_tree_copy(w->base, ref) < 0 ||
		model_tree_copy(w->base, mount) < 0)
		return -1;
	r = replay_all(w, &c, op, n, why);
	if (r == 0 && !model_tree_same(ref, mount, s, why))
		r = 1;
	(void)munmap(s, sizeof(*s));
	return r;
}

/* An event of its own process; its pid. */
static int replay_kill(const struct model_place *at)
{
	int pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(model_event(at, "kill") < 0);
	return pid;
}

/* Until the daemon is gone; that comes after the operation `kill`. 1: an answer
 * differs. */
static int replay_until(struct model_worker *w, struct worker_crew *c,
	struct model_op *op, size_t kill, size_t *n)
{
	char why[MODEL_TEXT] = "";
	int pid = 0;
	int r = 0;
	size_t i;

	for (i = 0; i < *n && r == 0; i++) {
		if (i == kill)
			pid = replay_kill(w->at);
		if (op[i].kind >= MODEL_DROP)
			r = replay_event(c, w->at, op[i].kind);
		else
			r = crew_do(c, &op[i], why);
	}
	if (r < 0)
		op[i - 1].ret = 1;
	if (r > 0)
		model_say(w->at, "operation %zu: %s", i, why);
	if (pid == 0)
		pid = replay_kill(w->at);
	(void)waitpid(pid, NULL, 0);
	*n = i;
	return r > 0;
}

int model_replay_killed(
	struct model_worker *w, struct model_op *op, size_t before, size_t *n)
{
	struct worker_crew c = {
		.ref = w->ref, .mount = w->mount, .shared = w->shared};
	int r;

	/* what is there at first was synced in its time, too */
	if (model_tree_copy(w->base, w->ref) < 0 ||
		model_tree_copy(w->base, w->mount) < 0 ||
		model_event(w->at, "remount") < 0 || crew_open(&c) < 0)
		return -EIO;
	r = replay_until(
		w, &c, op, before > 0 && before < *n ? *n - before : *n, n);
	crew_close(&c);
	return r;
}
