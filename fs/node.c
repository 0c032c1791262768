#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/lookups.h"
#include "fs/node.h"
#include "fs/node_int.h"
#include "fs/reap.h"
#include "fs/staging.h"

#define NODE_BUCKETS 65536u /* a power of two */
#define NODE_IDLE_MAX 8192u /* clean nodes that are kept for the next use */

struct nodes {
	struct volume *v;
	pthread_mutex_t lock; /* guards all of the table */
	struct node *bucket[NODE_BUCKETS];
	struct lookups lookups;
	_Atomic uint64_t moment; /* goes on with each record */
	uint64_t forgotten; /* the latest one of nodes that are no more */
	struct node *newest, *oldest; /* idle */
	unsigned idle;
	struct reap *reap;
};

/* By number, which is in order of making: who walks over the table to flush
 * puts files into packs in that order, and reads find neighbours near. */
static struct node **node_slot(struct nodes *n, uint64_t ino)
{
	return &n->bucket[ino & (NODE_BUCKETS - 1)];
}

static void node_destroy(struct node *node)
{
	dirty_free(&node->dirty);
	dirty_free(&node->flight);
	(void)pthread_cond_destroy(&node->idle);
	(void)pthread_mutex_destroy(&node->lock);
	free(node);
}

void nodes_free(struct nodes *n)
{
	if (!n)
		return;
	reap_free(n->reap);
	for (size_t i = 0; i < NODE_BUCKETS; i++)
		while (n->bucket[i]) {
			struct node *node = n->bucket[i];

			n->bucket[i] = node->next;
			node_destroy(node);
		}
	lookups_free(&n->lookups);
	(void)pthread_mutex_destroy(&n->lock);
	free(n);
}

/* With the table's lock held. */
static struct node *node_find(struct nodes *n, uint64_t ino)
{
	struct node *node = *node_slot(n, ino);

	while (node && node->ino != ino)
		node = node->next;
	return node;
}

static struct node *node_make(struct nodes *n, uint64_t ino)
{
	struct node **slot = node_slot(n, ino);
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->ino = ino;
	node->gone = lookups_gone(&n->lookups, ino);
	(void)pthread_mutex_init(&node->lock, NULL);
	(void)pthread_cond_init(&node->idle, NULL);
	node->next = *slot;
	*slot = node;
	return node;
}

/* --- the idle: clean, pinned by nobody ------------------------------------ */

static void node_idle_leave(struct nodes *n, struct node *node)
{
	if (!node->idle_listed)
		return;
	*(node->newer ? &node->newer->older : &n->newest) = node->older;
	*(node->older ? &node->older->newer : &n->oldest) = node->newer;
	node->newer = NULL;
	node->older = NULL;
	node->idle_listed = false;
	n->idle--;
}

static void node_remove(struct nodes *n, struct node *node)
{
	struct node **p = node_slot(n, node->ino);

	while (*p != node)
		p = &(*p)->next;
	*p = node->next;
	if (node->recorded > n->forgotten)
		n->forgotten = node->recorded;
	node_idle_leave(n, node);
	node_destroy(node);
}

static void node_idle_join(struct nodes *n, struct node *node)
{
	node->older = n->newest;
	*(n->newest ? &n->newest->newer : &n->oldest) = node;
	n->newest = node;
	node->idle_listed = true;
	if (++n->idle > NODE_IDLE_MAX)
		node_remove(n, n->oldest);
}

/* With the table's lock held. */
static void node_hold(struct nodes *n, struct node *node)
{
	node_idle_leave(n, node);
	node->refs++;
}

int node_pin(struct nodes *n, uint64_t ino, struct node **ret)
{
	struct node *node;

	(void)pthread_mutex_lock(&n->lock);
	node = node_find(n, ino);
	if (!node)
		node = node_make(n, ino);
	if (node)
		node_hold(n, node);
	(void)pthread_mutex_unlock(&n->lock);
	if (!node)
		return -ENOMEM;
	*ret = node;
	return 0;
}

/* *ret_forgotten: of nodes that are no more, if there is none of ino. */
static struct node *node_ask(
	struct nodes *n, uint64_t ino, uint64_t *ret_forgotten)
{
	struct node *node;

	(void)pthread_mutex_lock(&n->lock);
	node = node_find(n, ino);
	if (node)
		node_hold(n, node);
	*ret_forgotten = n->forgotten;
	(void)pthread_mutex_unlock(&n->lock);
	return node;
}

struct node *node_peek(struct nodes *n, uint64_t ino)
{
	uint64_t forgotten;

	return node_ask(n, ino, &forgotten);
}

/*
 * With the table's lock held: let a node go that nobody has in hand. Dirty
 * bytes keep it, unless neither a name nor the kernel leads to them any more;
 * then its inode is to be reaped (true).
 */
static bool node_settle(struct nodes *n, struct node *node)
{
	uint64_t bytes;
	bool lost;

	if (node->refs > 0)
		return false;
	/* Whoever changes its fields has a pin: nobody does. */
	bytes = node->dirty.bytes + node->flight.bytes;
	lost = node->gone && !lookups_has(&n->lookups, node->ino);
	if (lost) {
		if (bytes > 0)
			writer_forgive(n->v, bytes);
		node_remove(n, node);
	} else if (bytes == 0 && !node->attr_dirty && !node->idle_listed) {
		node_idle_join(n, node);
	}
	return lost;
}

void node_unpin(struct nodes *n, struct node *node)
{
	uint64_t ino;
	bool reap;

	if (!node)
		return;
	ino = node->ino;
	(void)pthread_mutex_lock(&n->lock);
	node->refs--;
	reap = node_settle(n, node);
	(void)pthread_mutex_unlock(&n->lock);
	if (reap)
		reap_soon(n->reap, ino);
}

int node_looked_up(struct nodes *n, uint64_t ino)
{
	int r;

	(void)pthread_mutex_lock(&n->lock);
	r = lookups_add(&n->lookups, ino);
	(void)pthread_mutex_unlock(&n->lock);
	return r;
}

void node_forget(struct nodes *n, uint64_t ino, uint64_t count)
{
	struct node *node;
	bool gone = false;
	bool reap = false;

	(void)pthread_mutex_lock(&n->lock);
	if (lookups_sub(&n->lookups, ino, count, &gone)) {
		node = node_find(n, ino);
		reap = node ? node_settle(n, node) : gone;
	}
	(void)pthread_mutex_unlock(&n->lock);
	if (reap)
		reap_soon(n->reap, ino);
}

static void node_set_gone(struct nodes *n, uint64_t ino, bool gone)
{
	struct node *node = NULL;

	if (node_pin(n, ino, &node) < 0)
		return; /* the next open finds the orphan */
	(void)pthread_mutex_lock(&n->lock);
	node->gone = gone;
	lookups_set_gone(&n->lookups, ino, gone);
	(void)pthread_mutex_unlock(&n->lock);
	node_unpin(n, node);
}

void node_gone(struct nodes *n, uint64_t ino)
{
	node_set_gone(n, ino, true);
}

void node_named(struct nodes *n, uint64_t ino)
{
	node_set_gone(n, ino, false);
}

int node_know(struct volume *v, struct node *node, struct pluri_err *err)
{
	struct tree_attr a = {0};
	struct meta_tx *tx = NULL;
	int r;

	if (node->known)
		return 0;
	r = meta_begin(v->meta, &tx, err);
	if (r < 0)
		return r;
	r = tree_get(tx, node->ino, &a, err);
	r = meta_end(tx, r, err);
	if (r < 0)
		return r;
	node->size = a.size;
	node->mode = a.mode;
	node->gid = a.gid;
	node->atime_ns = a.atime_ns;
	node->mtime_ns = a.mtime_ns;
	node->ctime_ns = a.ctime_ns;
	node->policy = a.policy;
	if (a.size > 0) /* written when, and where to, is not known */
		owing_upto(&node->owing, staging_last(v->staging));
	node->known = true;
	return 0;
}

uint64_t nodes_moment(const struct nodes *n)
{
	return atomic_load(&n->moment);
}

void node_recorded(struct nodes *n, struct node *node)
{
	node->recorded = atomic_fetch_add(&n->moment, 1) + 1;
}

void node_lay_over(const struct node *node, struct tree_attr *a)
{
	if (node->known && node->attr_dirty) {
		a->size = node->size;
		a->atime_ns = node->atime_ns;
		a->mtime_ns = node->mtime_ns;
		a->ctime_ns = node->ctime_ns;
		a->bytes += node->dirty.bytes + node->flight.bytes;
	}
	/* Dirty bytes over recorded ones were counted twice, and what is dead
	 * after a cut counts until it is gone. */
	if (S_ISREG(a->mode) && a->bytes > a->size)
		a->bytes = a->size;
}

bool node_overlay(struct volume *v, uint64_t since, struct tree_attr *a)
{
	static const struct node none;
	uint64_t recorded = 0;
	struct node *node = node_ask(v->nodes, a->ino, &recorded);

	if (!node) {
		node_lay_over(&none, a);
		return recorded <= since;
	}
	(void)pthread_mutex_lock(&node->lock);
	node_lay_over(node, a);
	recorded = node->recorded;
	(void)pthread_mutex_unlock(&node->lock);
	node_unpin(v->nodes, node);
	return recorded <= since;
}

/* Of one bucket. */
static unsigned nodes_dirty_in(struct nodes *n, struct node *node, uint64_t ms,
	bool due, struct node **ret, unsigned max)
{
	unsigned found = 0;

	for (; node && found < max; node = node->next) {
		const uint64_t at = atomic_load(
			due ? &node->due_ms : &node->dirty_since_ms);

		if (at == 0 || at > ms)
			continue;
		node_hold(n, node);
		ret[found++] = node;
	}
	return found;
}

unsigned nodes_dirty(struct nodes *n, uint64_t ms, bool due, size_t *at,
	struct node **ret, unsigned max)
{
	const size_t first = *at;
	unsigned found = 0;
	size_t i;

	(void)pthread_mutex_lock(&n->lock);
	for (i = first; i < NODE_BUCKETS && found < max; i++)
		found += nodes_dirty_in(
			n, n->bucket[i], ms, due, ret + found, max - found);
	(void)pthread_mutex_unlock(&n->lock);
	/* The last bucket may have more, unless it was the only one. */
	*at = found < max ? 0 : i > first + 1 ? i - 1 : i;
	return found;
}

uint64_t nodes_oldest_ms(struct nodes *n)
{
	uint64_t oldest = 0;

	(void)pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < NODE_BUCKETS; i++)
		for (struct node *node = n->bucket[i]; node;
			node = node->next) {
			const uint64_t at = atomic_load(&node->dirty_since_ms);

			if (at != 0 && (oldest == 0 || at < oldest))
				oldest = at;
		}
	(void)pthread_mutex_unlock(&n->lock);
	return oldest;
}

/* Is the inode in somebody's hand? */
static bool nodes_held(void *arg, uint64_t ino)
{
	struct nodes *n = arg;
	bool held;

	(void)pthread_mutex_lock(&n->lock);
	held = node_find(n, ino) || lookups_has(&n->lookups, ino);
	(void)pthread_mutex_unlock(&n->lock);
	return held;
}

int nodes_new(struct volume *v, struct nodes **ret, struct pluri_err *err)
{
	struct nodes *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return pluri_fail(err, ENOMEM, "nodes: no memory");
	n->v = v;
	(void)pthread_mutex_init(&n->lock, NULL);
	r = reap_new(v, nodes_held, n, &n->reap, err);
	if (r < 0) {
		free(n);
		return r;
	}
	*ret = n;
	return 0;
}

int nodes_reap(struct nodes *n, struct pluri_err *err)
{
	return reap_all(n->reap, err);
}

void nodes_tick(struct nodes *n)
{
	reap_tick(n->reap);
}
