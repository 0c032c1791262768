/* What "stats" and "status" say of bytes on their way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/health.h"
#include "fs/roster_int.h"
#include "fs/staging_int.h"
#include "fs/stats.h"
#include "fs/upload_int.h"
#include "fs/write.h"
#include "tests/unit/fs/house.h"

#define OLD_S 400
#define BYTES (3u << 20)

static json_t *told(struct house *h)
{
	struct pluri_err err = {0};
	json_t *j = NULL;

	if (stats_tell(h->v, &j, &err) < 0)
		fail_msg("stats: %s", err.text);
	return j;
}

static json_int_t number(const json_t *o, const char *part, const char *key)
{
	const json_t *n = json_object_get(json_object_get(o, part), key);

	assert_true(json_is_integer(n));
	return json_integer_value(n);
}

static const json_t *store(const json_t *o, const char *name)
{
	const json_t *s;
	size_t i;

	json_array_foreach(json_object_get(o, "stores"), i, s)
	{
		if (strcmp(json_string_value(json_object_get(s, "name")),
			    name) == 0)
			return s;
	}
	fail_msg("store %s is not told of", name);
	return NULL;
}

static json_int_t owed(const json_t *o, const char *name)
{
	return json_integer_value(
		json_object_get(store(o, name), "owed_bytes"));
}

static void tell__flush_is_stuck__dirty_with_its_age(void **state)
{
	struct house h;
	struct node *n;
	json_t *j = NULL;

	(void)state;
	house_new(&h, "", "");
	n = house_file(&h, "f");
	house_write(&h, n, 0, "0123456789", 10);
	/* a disk that is full for so long cannot be waited for here */
	atomic_store(&n->dirty_since_ms,
		atomic_load(&n->dirty_since_ms) - OLD_S * 1000);
	j = told(&h);
	assert_int_equal(number(j, "pending", "dirty_bytes"), 10);
	assert_int_equal(number(j, "pending", "staged_bytes"), 0);
	assert_true(number(j, "pending", "oldest_us") >= OLD_S * 1000000);
	json_decref(j);
	assert_int_equal(health_status(h.v, &j, NULL), 0);
	assert_true(json_integer_value(
			    json_object_get(j, "oldest_pending_s")) >= OLD_S);
	assert_string_equal(
		json_string_value(json_object_get(j, "state")), "warning");
	json_decref(j);
	assert_int_equal(write_flush(h.v, n, NULL), 0);
	j = told(&h);
	assert_int_equal(number(j, "pending", "dirty_bytes"), 0);
	assert_int_equal(number(j, "pending", "staged_packs"), 1);
	assert_true(number(j, "pending", "staged_bytes") >= 10);
	assert_true(number(j, "pending", "oldest_us") < OLD_S * 1000000);
	json_decref(j);
	node_unpin(h.v->nodes, n);
	house_free(&h);
}

/* Poll until store a has all that it should. */
static json_t *told_when_a_has_all(struct house *h)
{
	const struct timespec tick = {.tv_nsec = 5000000};

	for (unsigned i = 0; i < 2000; i++) {
		json_t *j = told(h);

		if (owed(j, "a") == 0)
			return j;
		json_decref(j);
		(void)nanosleep(&tick, NULL);
	}
	fail_msg("store a has not got all");
	return NULL;
}

static void tell__one_store_is_away__owed_to_it_alone(void **state)
{
	pluri_auto_mem uint8_t *data = malloc(BYTES);
	struct house h;
	struct node *n;
	json_t *j;

	(void)state;
	house_new(&h, "timeout = 1s",
		"layout = mirror:2\nstores = a b\npack = 1M");
	house_fault(&h, "error EAGAIN op=put\n");
	n = house_file(&h, "f");
	house_noise(5, data, BYTES);
	house_write(&h, n, 0, data, BYTES);
	assert_int_equal(write_flush(h.v, n, NULL), 0);
	assert_false(house_paid(&h, 1));
	j = told_when_a_has_all(&h);
	assert_true(owed(j, "b") >= (json_int_t)BYTES);
	assert_int_equal(owed(j, "b"), number(j, "pending", "owed_bytes"));
	assert_int_equal(owed(j, "c"), 0);
	assert_int_equal(number(j, "pending", "staged_bytes"), 0);
	assert_true(json_is_true(json_object_get(store(j, "a"), "up")));
	json_decref(j);
	node_unpin(h.v->nodes, n);
	house_free(&h);
}

static void *tell_main(void *arg)
{
	json_t *j = NULL;

	return stats_tell(arg, &j, NULL) < 0 ? NULL : j;
}

static void tell__others_hold_their_locks__answered(void **state)
{
	struct house h;
	pthread_t t;
	void *j = NULL;

	(void)state;
	house_new(&h, "", "");
	(void)alarm(20); /* rather than for ever */
	(void)pthread_mutex_lock(&h.v->staging->close_lock);
	(void)pthread_mutex_lock(&h.v->upload->lock);
	(void)pthread_rwlock_wrlock(&h.v->roster->lock);
	assert_int_equal(pthread_create(&t, NULL, tell_main, h.v), 0);
	assert_int_equal(pthread_join(t, &j), 0);
	(void)pthread_rwlock_unlock(&h.v->roster->lock);
	(void)pthread_mutex_unlock(&h.v->upload->lock);
	(void)pthread_mutex_unlock(&h.v->staging->close_lock);
	(void)alarm(0);
	assert_int_equal(json_array_size(json_object_get(j, "stores")), 3);
	json_decref(j);
	house_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tell__flush_is_stuck__dirty_with_its_age),
		cmocka_unit_test(tell__one_store_is_away__owed_to_it_alone),
		cmocka_unit_test(tell__others_hold_their_locks__answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
