/* What stat() shows while rows and nodes change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sys/stat.h>

#include "fs/names.h"
#include "fs/write.h"
#include "fs/xattr.h"
#include "tests/unit/fs/house.h"

#define EVICTING 9000u /* more than idle nodes are kept */
#define ROUNDS 1500u

static int64_t ctime_of(struct house *h, const struct node *n)
{
	struct tree_attr a = {0};

	assert_int_equal(names_stat(h->v, n->ino, &a, NULL), 0);
	return a.ctime_ns;
}

/* Files a and b, written to and recorded. */
static void two_files(struct house *h, struct node *n[2])
{
	house_new(h, "", "");
	n[0] = house_file(h, "a");
	n[1] = house_file(h, "b");
	for (unsigned i = 0; i < 2; i++) {
		house_write(h, n[i], 0, "x", 1);
		assert_int_equal(write_flush(h->v, n[i], NULL), 0);
	}
}

static void end(struct house *h, struct node *n[2])
{
	node_unpin(h->v->nodes, n[0]);
	node_unpin(h->v->nodes, n[1]);
	house_free(h);
}

static void exchange__then_read__ctimes_stay(void **state)
{
	const struct tree_move mv = {.from_dir = TREE_ROOT,
		.to_dir = TREE_ROOT,
		.from = {"a", 1},
		.to = {"b", 1},
		.flags = TREE_EXCHANGE};
	struct house h;
	struct node *n[2];
	int64_t before[2];

	(void)state;
	two_files(&h, n);
	before[0] = ctime_of(&h, n[0]);
	before[1] = ctime_of(&h, n[1]);
	assert_int_equal(names_rename(h.v, &mv, NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		const int64_t now = ctime_of(&h, n[i]);

		assert_true(now > before[i]);
		write_accessed(h.v, n[i]); /* now the node's are shown */
		assert_true(n[i]->attr_dirty);
		assert_int_equal(ctime_of(&h, n[i]), now);
		assert_int_equal(write_flush(h.v, n[i], NULL), 0);
		assert_int_equal(ctime_of(&h, n[i]), now);
	}
	end(&h, n);
}

static bool nobody(void *arg, uint32_t gid)
{
	(void)arg;
	(void)gid;
	return false;
}

static void strip__capabilities__ctime_stays(void **state)
{
	const struct xattr_value caps = {.bytes = {"cap", 3}};
	const struct xattr_who who = {.member = nobody};
	struct house h;
	struct node *n[2];
	int64_t now;

	(void)state;
	two_files(&h, n);
	assert_int_equal(
		xattr_set(h.v, n[0]->ino, "security.capability", &caps, NULL),
		0);
	assert_int_equal(xattr_strip(h.v, n[0]->ino, &who, NULL), 1);
	now = ctime_of(&h, n[0]);
	write_accessed(h.v, n[0]);
	assert_true(n[0]->attr_dirty);
	assert_int_equal(ctime_of(&h, n[0]), now);
	end(&h, n);
}

static void rows_of(
	struct house *h, const struct node *n, struct tree_attr *ret)
{
	struct meta_tx *tx = NULL;

	assert_int_equal(meta_begin(h->v->meta, &tx, NULL), 0);
	assert_int_equal(
		meta_end(tx, tree_get(tx, n->ino, ret, NULL), NULL), 0);
}

/* The first of two files has more than its rows, which are in *ret. */
static uint64_t written(
	struct house *h, struct node *n[2], struct tree_attr *ret)
{
	uint64_t since;

	two_files(h, n);
	house_write(h, n[0], 1, "yz", 2);
	since = nodes_moment(h->v->nodes);
	rows_of(h, n[0], ret);
	return since;
}

static void overlay__recorded_since__says_so(void **state)
{
	struct tree_attr a = {0};
	struct house h;
	struct node *n[2];
	uint64_t since;

	(void)state;
	since = written(&h, n, &a);
	assert_int_equal(a.size, 1);
	assert_true(node_overlay(h.v, since, &a)); /* dirty: it knows */
	assert_int_equal(a.size, 3);
	rows_of(&h, n[0], &a);
	assert_int_equal(write_flush(h.v, n[0], NULL), 0);
	assert_false(node_overlay(h.v, since, &a));
	assert_int_equal(house_size(&h, n[0]), 3);
	rows_of(&h, n[1], &a);
	assert_true(node_overlay(h.v, since, &a)); /* the other was not */
	end(&h, n);
}

static void overlay__recorded_and_forgotten_since__says_so(void **state)
{
	const uint64_t far = UINT64_C(1) << 40;
	struct tree_attr a = {0};
	struct house h;
	struct node *n[2];
	uint64_t since;

	(void)state;
	since = written(&h, n, &a);
	assert_int_equal(write_flush(h.v, n[0], NULL), 0);
	node_unpin(h.v->nodes, n[0]);
	for (uint64_t i = 0; i < EVICTING; i++) {
		struct node *other = NULL;

		assert_int_equal(node_pin(h.v->nodes, far + i, &other), 0);
		node_unpin(h.v->nodes, other);
	}
	n[0] = node_peek(h.v->nodes, a.ino);
	assert_null(n[0]);
	assert_false(node_overlay(h.v, since, &a));
	end(&h, n);
}

struct writer_arg {
	struct house *h;
	struct node *n;
	_Atomic uint64_t size;
};

static void *write_on(void *arg)
{
	struct writer_arg *w = arg;

	for (uint64_t i = 1; i < ROUNDS; i++) {
		const struct write_ask ask = {.off = i, .data = {"x", 1}};

		if (write_bytes(w->h->v, w->n, &ask, NULL) < 0)
			return w;
		atomic_store(&w->size, i + 1);
		if (write_flush(w->h->v, w->n, NULL) < 0)
			return w;
	}
	return NULL;
}

static void stat__flushed_meanwhile__never_shorter(void **state)
{
	struct house h;
	struct node *n[2];
	struct writer_arg w = {.h = &h, .size = 1};
	pthread_t thread;
	void *failed = NULL;

	(void)state;
	two_files(&h, n);
	w.n = n[0];
	assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
	while (atomic_load(&w.size) < ROUNDS) {
		const uint64_t least = atomic_load(&w.size);

		assert_true(house_size(&h, n[0]) >= least);
	}
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	end(&h, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exchange__then_read__ctimes_stay),
		cmocka_unit_test(strip__capabilities__ctime_stays),
		cmocka_unit_test(overlay__recorded_since__says_so),
		cmocka_unit_test(
			overlay__recorded_and_forgotten_since__says_so),
		cmocka_unit_test(stat__flushed_meanwhile__never_shorter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
