/* Few bytes beside a stream of many: they do not wait for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/write.h"
#include "tests/unit/fs/house.h"

#define MIB (1u << 20)

static int at_once(void *arg)
{
	(void)arg;
	return 1;
}

static int second_time(void *arg)
{
	unsigned *asked = arg;

	return ++*asked == 2;
}

/* A stream has taken what it may: there is room for a lock file. */
static void write__few_bytes_beside_a_stream__have_room(void **state)
{
	uint8_t *data = malloc(MIB);
	unsigned asked = 0;
	const struct write_ask many = {
		.data = {data, MIB}, .stop = second_time, .arg = &asked};
	const struct write_ask few = {
		.data = {data, 64 << 10}, .stop = at_once};
	struct node *stream;
	struct node *other;
	struct node *lock;
	struct house h;
	int r;

	(void)state;
	house_noise(1, data, MIB);
	house_new(&h, "dirty = 4M", "");
	stream = house_file(&h, "stream");
	other = house_file(&h, "other");
	lock = house_file(&h, "lock");
	for (unsigned i = 0; i < 3; i++)
		house_write(&h, stream, i * (uint64_t)MIB, data, MIB);
	(void)pthread_mutex_lock(&stream->lock); /* no flush gets anywhere */
	r = write_bytes(h.v, other, &many, NULL);
	(void)pthread_mutex_lock(&other->lock);
	assert_int_equal(write_bytes(h.v, lock, &few, NULL), 0);
	(void)pthread_mutex_unlock(&other->lock);
	(void)pthread_mutex_unlock(&stream->lock);
	assert_int_equal(r, -ECANCELED);
	node_unpin(h.v->nodes, stream);
	node_unpin(h.v->nodes, other);
	node_unpin(h.v->nodes, lock);
	house_free(&h);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write__few_bytes_beside_a_stream__have_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
