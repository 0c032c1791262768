#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cache.h"
#include "fs/watch.h"
#include "fs/write.h"
#include "tests/unit/fs/yard.h"

void yard_put(struct yard *y, unsigned i, uint64_t seed)
{
	char name[8];
	struct node *n;
	uint8_t *data = malloc(LEN);

	(void)snprintf(name, sizeof(name), "f%u", i);
	n = house_file(&y->h, name);
	house_noise(seed, data, LEN);
	if (seed)
		house_write(&y->h, n, 0, data, LEN);
	else
		house_truncate(&y->h, n, 0);
	assert_int_equal(write_flush(y->h.v, n, NULL), 0);
	node_unpin(y->h.v->nodes, n);
	y->seed[i] = seed;
	free(data);
}

void yard_check(struct yard *y)
{
	uint8_t *data = malloc(LEN);
	uint8_t *got = malloc(LEN);

	for (unsigned i = 0; i < FILES; i++) {
		char name[8];
		struct node *n;

		(void)snprintf(name, sizeof(name), "f%u", i);
		n = house_file(&y->h, name);
		assert_int_equal(house_size(&y->h, n), y->seed[i] ? LEN : 0);
		if (y->seed[i]) {
			house_noise(y->seed[i], data, LEN);
			house_read(&y->h, n, 0, got, LEN);
			assert_memory_equal(got, data, LEN);
		}
		node_unpin(y->h.v->nodes, n);
	}
	free(data);
	free(got);
}

void yard_check_all(struct yard *y)
{
	cache_drop_all(y->h.v->cache);
	yard_check(y);
	house_forget(&y->h);
	yard_check(y);
}

void yard_met(struct yard *y)
{
	const struct timespec tick = {.tv_nsec = 5000000};

	while (!watch_met(y->h.v->watch, 0) || !watch_met(y->h.v->watch, 1) ||
		!watch_met(y->h.v->watch, 2))
		(void)nanosleep(&tick, NULL);
}

void yard_begin_as(struct yard *y, const char *volume, const char *policy)
{
	memset(y, 0, sizeof(*y));
	house_new(&y->h, volume, policy);
	for (unsigned i = 0; i < FILES; i++)
		yard_put(y, i, i + 1);
	house_clouds(&y->h);
	yard_met(y);
}

void yard_begin(struct yard *y, const char *volume)
{
	yard_begin_as(y, volume, POLICY);
}

void yard_poor(struct yard *y)
{
	for (unsigned i = 0; i < FILES; i++)
		if (i % 4)
			yard_put(y, i, 0);
}

void yard_again(struct yard *y)
{
	house_crash(&y->h);
	house_open(&y->h);
	yard_met(y);
}

static unsigned files_in(const char *path, bool deep)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d)) != NULL) {
		char sub[512];

		if (e->d_name[0] == '.' ||
			strcmp(e->d_name, "pluri-volume") == 0)
			continue;
		(void)snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (e->d_type != DT_DIR)
			n++;
		else if (deep)
			n += files_in(sub, true);
	}
	if (d)
		(void)closedir(d);
	return n;
}

unsigned yard_objects(struct yard *y, char store)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%c", y->h.dir, store);
	return files_in(path, true);
}

unsigned yard_locals(struct yard *y)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/state/packs", y->h.dir);
	return files_in(path, true); /* those set aside, too */
}

unsigned yard_packs(struct yard *y)
{
	struct packs_totals t = {0};
	struct meta_tx *tx = NULL;

	assert_int_equal(meta_begin(y->h.v->meta, &tx, NULL), 0);
	assert_int_equal(meta_end(tx, packs_totals(tx, &t, NULL), NULL), 0);
	return (unsigned)t.packs;
}

uint64_t yard_graves(struct yard *y)
{
	struct garbage_totals t = {0};
	struct meta_tx *tx = NULL;

	assert_int_equal(meta_begin(y->h.v->meta, &tx, NULL), 0);
	assert_int_equal(meta_end(tx, garbage_total(tx, &t, NULL), NULL), 0);
	return t.graves;
}

void yard_turn(struct yard *y)
{
	struct repack *r = y->h.v->repack;
	struct pluri_err err = {0};
	bool more = false;

	r->scan_next_ms = 0;
	r->delete_next_ms = 0;
	for (unsigned i = 0; i < r->cools; i++)
		r->cool[i].due_ms = 0;
	if (repack_round(r, &more, &err) < 0)
		fail_msg("%s", err.text);
}

void yard_collect(struct yard *y)
{
	for (unsigned i = 0; i < 6; i++) {
		y->h.v->repack->look_next_ms = 0; /* if a store was slow */
		yard_turn(y);
		assert_true(house_paid(&y->h, 20000));
	}
	assert_int_equal(y->h.v->repack->copies, 0);
	assert_int_equal(y->h.v->repack->cools, 0);
	assert_int_equal(yard_graves(y), 0);
	assert_int_equal(yard_objects(y, 'a'), yard_packs(y));
	assert_int_equal(yard_objects(y, 'b'), yard_packs(y));
}
