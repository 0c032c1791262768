/*
 * The watch: one thread that expires what nobody waits for (puts in a queue
 * behind hung calls, reads that lost the race) and hands over refused puts.
 * watch_lock is a leaf: nothing is locked under it.
 */
#include <errno.h>

#include "backends/fleet_int.h"

/* How a refused put waits: in the caller's own memory, so that even "no
 * memory" can be told. */
struct watch_refusal {
	struct fleet_put *next;
	struct pluri_err *err; /* owned; NULL: there was no memory for it */
	intptr_t code;
};
_Static_assert(sizeof(struct watch_refusal) <=
		       sizeof(((struct fleet_put *)NULL)->fleet_private),
	"fleet_private holds a refusal");

static struct watch_refusal watch_get(const struct fleet_put *p)
{
	struct watch_refusal w;

	memcpy(&w, p->fleet_private, sizeof(w));
	return w;
}

static void watch_set(struct fleet_put *p, const struct watch_refusal *w)
{
	memcpy(p->fleet_private, w, sizeof(*w));
}

void fleet_watch_refuse(struct fleet *f, struct fleet_put *p, int code,
	const struct pluri_err *err)
{
	struct watch_refusal w = {.code = code, .err = malloc(sizeof(*err))};

	if (w.err)
		*w.err = *err;
	(void)pthread_mutex_lock(&f->watch_lock);
	watch_set(p, &w);
	if (f->refused) {
		struct watch_refusal last = watch_get(f->refused_last);

		last.next = p;
		watch_set(f->refused_last, &last);
	} else {
		f->refused = p;
	}
	f->refused_last = p;
	(void)pthread_cond_signal(&f->watch_cond);
	(void)pthread_mutex_unlock(&f->watch_lock);
}

static void watch_hand_over(struct fleet_put *p)
{
	while (p) {
		const struct watch_refusal w = watch_get(p);
		struct pluri_err none = {.code = ENOMEM, .text = "no memory"};

		p->done(p, (int)w.code, w.err ? w.err : &none);
		free(w.err);
		p = w.next;
	}
}

static uint64_t watch_scan(struct fleet *f)
{
	uint64_t due = UINT64_MAX;

	for (unsigned i = 0; i < PLURI_STORES_MAX; i++) {
		struct fleet_store *s = fleet_store_of(f, i);
		struct fleet_op *tell = NULL;
		uint64_t at;

		if (!s)
			continue;
		at = fleet_queue_sweep(s, &tell);
		if (at < due)
			due = at;
		fleet_op_tell(tell);
		fleet_pool_unref(s);
	}
	return due;
}

/* Look at the stores until told otherwise; with watch_lock, let go inside. */
static void watch_round(struct fleet *f)
{
	uint64_t due;

	f->watch_ms = UINT64_MAX;
	(void)pthread_mutex_unlock(&f->watch_lock);
	due = watch_scan(f);
	(void)pthread_mutex_lock(&f->watch_lock);
	/* A kick during the scan has lowered watch_ms: it stands */
	if (due < f->watch_ms)
		f->watch_ms = due;
	while (!f->watch_stop && !f->refused && f->watch_ms > fleet_now_ms())
		(void)clock_wait(&f->watch_cond, &f->watch_lock, f->watch_ms);
}

static void *watch_main(void *arg)
{
	struct fleet *f = arg;

	(void)pthread_mutex_lock(&f->watch_lock);
	while (!f->watch_stop || f->refused) {
		struct fleet_put *p = f->refused;

		if (!p) {
			watch_round(f);
			continue;
		}
		f->refused = NULL;
		(void)pthread_mutex_unlock(&f->watch_lock);
		watch_hand_over(p);
		(void)pthread_mutex_lock(&f->watch_lock);
	}
	(void)pthread_mutex_unlock(&f->watch_lock);
	return NULL;
}

void fleet_watch_kick(struct fleet *f, uint64_t due_ms)
{
	(void)pthread_mutex_lock(&f->watch_lock);
	if (due_ms < f->watch_ms) {
		f->watch_ms = due_ms;
		(void)pthread_cond_signal(&f->watch_cond);
	}
	(void)pthread_mutex_unlock(&f->watch_lock);
}

static void watch_fini(struct fleet *f)
{
	(void)pthread_cond_destroy(&f->watch_cond);
	(void)pthread_mutex_destroy(&f->watch_lock);
}

int fleet_watch_start(struct fleet *f, struct pluri_err *err)
{
	int r;

	(void)pthread_mutex_init(&f->watch_lock, NULL);
	clock_cond_init(&f->watch_cond);
	r = pthread_create(&f->watch, NULL, watch_main, f);
	if (r) {
		watch_fini(f);
		return pluri_fail(err, r, "fleet: cannot start a thread: %s",
			strerror(r));
	}
	return 0;
}

void fleet_watch_stop(struct fleet *f)
{
	(void)pthread_mutex_lock(&f->watch_lock);
	f->watch_stop = true;
	(void)pthread_cond_signal(&f->watch_cond);
	(void)pthread_mutex_unlock(&f->watch_lock);
	(void)pthread_join(f->watch, NULL);
	watch_fini(f);
}
