/* The engine without a mount against a model in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/commit.h"
#include "fs/names.h"
#include "fs/write.h"
#include "tests/unit/fs/house.h"

#define FILES 4u
#define FILE_MAX (3u << 20)
#define LOG_MAX 4096u

/* What happened to a file since it was last synced. */
struct change {
	bool zero; /* a hole, a cut, or growth: zeros */
	uint64_t off, len, seed;
};

struct file {
	char name[16];
	struct node *n;
	uint64_t size, low, high; /* since the sync: sizes it had */
	uint8_t *now, *synced; /* FILE_MAX */
	uint8_t *changed; /* bytes that are in the log */
	struct change log[LOG_MAX];
	unsigned logged;
	uint64_t pos; /* of the sequential writer */
};

struct world {
	struct house h;
	struct file file[FILES];
	uint64_t rnd;
	unsigned renamed;
	uint8_t *buf;
};

static uint64_t draw(struct world *w, uint64_t below)
{
	w->rnd = w->rnd * UINT64_C(6364136223846793005) +
		 UINT64_C(1442695040888963407);
	return (w->rnd >> 33) % below;
}

static void settle(struct file *f)
{
	memcpy(f->synced, f->now, FILE_MAX);
	memset(f->changed, 0, FILE_MAX);
	f->logged = 0;
	f->low = f->size;
	f->high = f->size;
}

static void sync_file(struct world *w, struct file *f)
{
	assert_int_equal(write_sync(w->h.v, f->n, NULL, NULL, NULL), 0);
	settle(f);
}

static void note(struct world *w, struct file *f, bool zero, uint64_t off,
	uint64_t len, uint64_t seed)
{
	if (f->logged == LOG_MAX)
		sync_file(w, f);
	f->log[f->logged++] = (struct change){zero, off, len, seed};
	memset(f->changed + off, 1, len);
}

static void resize(struct file *f, uint64_t size)
{
	f->size = size;
	f->low = size < f->low ? size : f->low;
	f->high = size > f->high ? size : f->high;
}

/* --- operations --------------------------------------------------------- */

static void op_write(struct world *w, struct file *f, uint64_t off, size_t len)
{
	/* few seeds: the same bytes come again, at other places, too */
	const uint64_t seed = draw(w, 3) ? draw(w, 1u << 30) : draw(w, 4);

	if (off + len > FILE_MAX)
		len = FILE_MAX - off;
	if (off > f->size)
		note(w, f, true, f->size, off - f->size, 0);
	note(w, f, false, off, len, seed);
	house_noise(seed, w->buf, len);
	memcpy(f->now + off, w->buf, len);
	house_write(&w->h, f->n, off, w->buf, len);
	if (off + len > f->size)
		resize(f, off + len);
}

static void op_random(struct world *w, struct file *f)
{
	const uint64_t max = draw(w, 8) ? 20000 : 1u << 20;

	op_write(w, f, draw(w, FILE_MAX - 1), 1 + draw(w, max));
}

static void op_sequential(struct world *w, struct file *f)
{
	for (unsigned i = 0; i < 6; i++) {
		if (f->pos >= FILE_MAX)
			f->pos = draw(w, 100000);
		op_write(w, f, f->pos, 128u << 10);
		f->pos += 128u << 10;
	}
}

static void op_truncate(struct world *w, struct file *f)
{
	const uint64_t size = draw(w, FILE_MAX);

	house_truncate(&w->h, f->n, size);
	if (size < f->size) {
		note(w, f, true, size, f->size - size, 0);
		memset(f->now + size, 0, f->size - size);
	} else {
		note(w, f, true, f->size, size - f->size, 0);
	}
	resize(f, size);
}

static void op_punch(struct world *w, struct file *f)
{
	const uint64_t off = draw(w, FILE_MAX);
	uint64_t len = 1 + draw(w, 1u << 19);

	if (off >= f->size)
		return;
	len = len < f->size - off ? len : f->size - off;
	assert_int_equal(write_punch(w->h.v, f->n, off, len, NULL), 0);
	note(w, f, true, off, len, 0);
	memset(f->now + off, 0, len);
}

static void op_read(struct world *w, struct file *f)
{
	uint64_t off = draw(w, FILE_MAX);
	uint64_t len = 1 + draw(w, 1u << 19);

	if (off >= f->size)
		off = 0;
	len = len < f->size - off ? len : f->size - off;
	house_read(&w->h, f->n, off, w->buf, len);
	if (memcmp(w->buf, f->now + off, len) == 0)
		return;
	for (uint64_t i = 0; i < len; i++)
		if (w->buf[i] != f->now[off + i])
			fail_msg("%s at %llu: %02x, not %02x", f->name,
				(unsigned long long)(off + i), w->buf[i],
				f->now[off + i]);
}

static void commit(struct world *w)
{
	assert_int_equal(commit_now(w->h.v->commit, true, NULL), 0);
}

static void op_rename(struct world *w, struct file *f)
{
	struct tree_move mv = {.from_dir = TREE_ROOT, .to_dir = TREE_ROOT};
	char to[16];

	(void)snprintf(to, sizeof(to), "file%u", w->renamed++);
	mv.from = (struct tree_name){f->name, strlen(f->name)};
	mv.to = (struct tree_name){to, strlen(to)};
	assert_int_equal(names_rename(w->h.v, &mv, NULL), 0);
	memcpy(f->name, to, sizeof(to));
	commit(w);
}

static void op_replace(struct world *w, struct file *f)
{
	assert_int_equal(
		names_unlink(w->h.v, TREE_ROOT, f->name, false, NULL), 0);
	node_unpin(w->h.v->nodes, f->n);
	f->n = house_file(&w->h, f->name);
	f->size = 0;
	memset(f->now, 0, FILE_MAX);
	commit(w);
	settle(f);
}

/* --- the whole file ------------------------------------------------------- */

static void check_file(struct world *w, struct file *f)
{
	assert_int_equal(house_size(&w->h, f->n), f->size);
	house_read(&w->h, f->n, 0, w->buf, f->size);
	if (memcmp(w->buf, f->now, f->size) == 0)
		return;
	for (uint64_t i = 0; i < f->size; i++)
		if (w->buf[i] != f->now[i])
			fail_msg("%s (%llu) at %llu: %02x, not %02x", f->name,
				(unsigned long long)f->size,
				(unsigned long long)i, w->buf[i], f->now[i]);
}

static void check_all(struct world *w)
{
	for (unsigned i = 0; i < FILES; i++)
		check_file(w, &w->file[i]);
}

/* Was the byte ever `b` since the sync? */
static bool had(const struct file *f, uint64_t at, uint8_t b)
{
	static uint8_t bytes[FILE_MAX];

	if (f->synced[at] == b)
		return true;
	for (unsigned i = f->logged; i > 0; i--) {
		const struct change *c = &f->log[i - 1];

		if (at < c->off || at - c->off >= c->len)
			continue;
		if (c->zero && b == 0)
			return true;
		if (c->zero)
			continue;
		house_noise(c->seed, bytes, at - c->off + 1);
		if (bytes[at - c->off] == b)
			return true;
	}
	return false;
}

/* After a crash: what was synced, or something that was written later. */
static void adopt(struct world *w, struct file *f)
{
	const uint64_t size = house_size(&w->h, f->n);
	unsigned doubts = 0;

	if (size < f->low || size > f->high)
		fail_msg("%s: %llu bytes, not %llu to %llu", f->name,
			(unsigned long long)size, (unsigned long long)f->low,
			(unsigned long long)f->high);
	house_read(&w->h, f->n, 0, w->buf, size);
	for (uint64_t i = 0; i < size; i++) {
		if (w->buf[i] == f->synced[i] || w->buf[i] == f->now[i])
			continue;
		if (!f->changed[i])
			fail_msg("%s at %llu: synced %02x is %02x now", f->name,
				(unsigned long long)i, f->synced[i], w->buf[i]);
		if (i % 4099 == 0 && doubts++ < 200)
			assert_true(had(f, i, w->buf[i]));
	}
	memset(f->now, 0, FILE_MAX);
	memcpy(f->now, w->buf, size);
	f->size = size;
	settle(f);
}

static void let_go(struct world *w)
{
	for (unsigned i = 0; i < FILES; i++)
		node_unpin(w->h.v->nodes, w->file[i].n);
}

static void take(struct world *w)
{
	house_open(&w->h);
	for (unsigned i = 0; i < FILES; i++)
		w->file[i].n = house_file(&w->h, w->file[i].name);
}

static void op_reopen(struct world *w)
{
	let_go(w);
	house_close(&w->h);
	take(w);
	for (unsigned i = 0; i < FILES; i++)
		settle(&w->file[i]);
}

static void op_crash(struct world *w)
{
	let_go(w);
	house_crash(&w->h);
	take(w);
	for (unsigned i = 0; i < FILES; i++)
		adopt(w, &w->file[i]);
}

static void step(struct world *w)
{
	struct file *f = &w->file[draw(w, FILES)];
	const uint64_t n = draw(w, 1000);

	if (n < 300)
		op_random(w, f);
	else if (n < 450)
		op_sequential(w, f);
	else if (n < 750)
		op_read(w, f);
	else if (n < 820)
		op_truncate(w, f);
	else if (n < 880)
		op_punch(w, f);
	else if (n < 920)
		assert_int_equal(write_flush(w->h.v, f->n, NULL), 0);
	else if (n < 945)
		sync_file(w, f);
	else if (n < 955)
		op_rename(w, f);
	else if (n < 962)
		op_replace(w, f);
	else if (n < 972)
		house_forget(&w->h);
	else if (n < 980)
		house_clouds(&w->h);
	else if (n < 985)
		op_reopen(w);
	else if (n < 992)
		op_crash(w);
	else
		check_file(w, f);
}

static void run(
	uint64_t seed, unsigned steps, const char *volume, const char *faults)
{
	struct world *w = calloc(1, sizeof(*w));
	const char *more = getenv("ENGINE_SEED");

	assert_non_null(w);
	w->rnd = more ? strtoull(more, NULL, 10) : seed;
	print_message("# seed %llu\n", (unsigned long long)w->rnd);
	if (getenv("ENGINE_STEPS"))
		steps = (unsigned)atoi(getenv("ENGINE_STEPS"));
	w->buf = malloc(FILE_MAX);
	house_new(&w->h, volume, "");
	for (unsigned i = 0; i < FILES; i++) {
		struct file *f = &w->file[i];

		(void)snprintf(f->name, sizeof(f->name), "f%u", i);
		f->now = calloc(1, FILE_MAX);
		f->synced = calloc(1, FILE_MAX);
		f->changed = calloc(1, FILE_MAX);
		f->n = house_file(&w->h, f->name);
	}
	commit(w);
	house_fault(&w->h, faults);
	for (unsigned i = 0; i < steps; i++)
		step(w);
	check_all(w);
	house_clouds(&w->h);
	check_all(w);
	op_reopen(w);
	check_all(w);
	let_go(w);
	for (unsigned i = 0; i < FILES; i++) {
		free(w->file[i].now);
		free(w->file[i].synced);
		free(w->file[i].changed);
	}
	house_free(&w->h);
	free(w->buf);
	free(w);
}

static void engine__random_operations__as_the_model(void **state)
{
	(void)state;
	run(1, 600, "timeout = 2s", "");
}

static void engine__little_memory__as_the_model(void **state)
{
	(void)state;
	run(2, 400, "timeout = 2s\ndirty = 1M\nmemory_cache = 0\n", "");
}

static void engine__one_store_lies__as_the_model(void **state)
{
	(void)state;
	run(3, 400, "timeout = 2s\nmemory_cache = 1M\n",
		"flip op=get p=0.3 seed=5\nerror EAGAIN op=get p=0.1 seed=6\n"
		"truncate op=get p=0.1 seed=7 bytes=3\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engine__random_operations__as_the_model),
		cmocka_unit_test(engine__little_memory__as_the_model),
		cmocka_unit_test(engine__one_store_lies__as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
