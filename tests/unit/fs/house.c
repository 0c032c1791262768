#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/cache.h"
#include "fs/create.h"
#include "fs/names.h"
#include "fs/read.h"
#include "fs/staging.h"
#include "fs/trim.h"
#include "fs/upload.h"
#include "fs/write.h"
#include "meta/extent.h"
#include "meta/packs.h"
#include "tests/unit/fs/house.h"

/* A test's own timeout is for its faults: a disk that is slow just now must not
 * keep a volume from being made. */
#define HOUSE_CREATE_MS 30000u

static void house_told(const struct house *h, int r, const struct pluri_err *e)
{
	if (r < 0)
		fail_msg("%s: %d: %s", h->dir, r, e->text);
}

static struct config *house_config(struct house *h)
{
	struct config *c = NULL;
	struct pluri_err err = {0};
	char file[128];

	(void)snprintf(file, sizeof(file), "%s/house.ini", h->dir);
	house_told(
		h, config_parse(file, h->ini, strlen(h->ini), &c, &err), &err);
	return c;
}

void house_fault(struct house *h, const char *rules)
{
	char path[128];
	char next[160];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/b.fault", h->dir);
	(void)snprintf(next, sizeof(next), "%s.new", path);
	f = fopen(next, "w");
	assert_non_null(f);
	assert_true(fputs(rules, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(next, path), 0);
}

void house_new(struct house *h, const char *volume, const char *policy)
{
	struct create_report report;
	struct pluri_err err = {0};
	struct config *c;
	char sub[80];

	memset(h, 0, sizeof(*h));
	log_limit(getenv("HOUSE_LOG") ? LOG_DEBUG : LOG_ERROR);
	(void)snprintf(h->dir, sizeof(h->dir), "/tmp/pluri-house-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	for (const char *s = "ab"; *s; s++) {
		(void)snprintf(sub, sizeof(sub), "%s/%c", h->dir, *s);
		assert_int_equal(mkdir(sub, 0700), 0);
	}
	house_fault(h, "");
	(void)snprintf(h->ini, sizeof(h->ini),
		"[volume]\nname = house\nstate = %s/state\n"
		"key = file:%s/key\n%s\n"
		"[store \"a\"]\nbackend = local\nurl = %s/a\n"
		"[store \"b\"]\nbackend = fault\nurl = fault:local:%s/b\n"
		"fault_file = %s/b.fault\nfault_log = %s/b.log\n"
		"[store \"c\"]\nbackend = mem\nurl = mem:%s\n"
		"[policy \"default\"]\n%s\n",
		h->dir, h->dir, *volume ? volume : "timeout = 2s", h->dir,
		h->dir, h->dir, h->dir, h->dir + 5,
		*policy ? policy : "layout = mirror:2\npack = 1M");
	c = house_config(h);
	c->timeout_ms = HOUSE_CREATE_MS;
	house_told(h, volume_create(c, &report, &err), &err);
	config_free(c);
	house_open(h);
}

static int house_rm(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void house_free(struct house *h)
{
	house_crash(h);
	(void)nftw(h->dir, house_rm, 16, FTW_DEPTH | FTW_PHYS);
}

void house_open(struct house *h)
{
	struct pluri_err err = {0};

	house_told(h, volume_open(house_config(h), &h->v, &err), &err);
}

void house_close(struct house *h)
{
	struct pluri_err err = {0};

	house_told(h, volume_close(h->v, &err), &err);
	house_crash(h);
}

void house_crash(struct house *h)
{
	volume_free(h->v);
	h->v = NULL;
}

struct node *house_file(struct house *h, const char *name)
{
	struct tree_attr a = {.mode = S_IFREG | 0600};
	struct pluri_err err = {0};
	struct node *n = NULL;
	int r = names_lookup(h->v, TREE_ROOT, name, &a, &err);

	if (r == -ENOENT)
		r = names_make(h->v, TREE_ROOT,
			&(struct names_new){.name = name}, &a, &err);
	house_told(h, r, &err);
	assert_int_equal(node_pin(h->v->nodes, a.ino, &n), 0);
	return n;
}

uint64_t house_size(struct house *h, struct node *n)
{
	struct tree_attr a = {0};
	struct pluri_err err = {0};

	house_told(h, names_stat(h->v, n->ino, &a, &err), &err);
	return a.size;
}

void house_write(struct house *h, struct node *n, uint64_t off,
	const void *data, size_t len)
{
	const struct write_ask ask = {.off = off, .data = {data, len}};
	struct pluri_err err = {0};

	house_told(h, write_bytes(h->v, n, &ask, &err), &err);
}

void house_read(
	struct house *h, struct node *n, uint64_t off, void *to, size_t len)
{
	const struct read_ask ask = {.ahead = true};
	struct pluri_err err = {0};
	struct pluri_room room = {.data = to, .cap = len};

	house_told(h, read_bytes(h->v, n, &ask, off, &room, &err), &err);
	assert_int_equal(room.len, len);
}

void house_truncate(struct house *h, struct node *n, uint64_t size)
{
	struct tree_attr a = {.size = size};
	struct pluri_err err = {0};

	house_told(h,
		write_setattr(h->v, n, TREE_SET_SIZE,
			clock_real_ns(h->v->clock), &a, &err),
		&err);
	assert_int_equal(a.size, size);
}

#define HOUSE_SHARD 512u

static void house_split(struct house *h, uint64_t ino, const struct extent *e)
{
	struct extent s[EXTENT_STEP];
	struct meta_tx *tx = NULL;
	unsigned n = 0;

	for (uint32_t at = 0; at < e->len; at += HOUSE_SHARD) {
		s[n] = (struct extent){
			e->off + at, e->len - at, e->skip + at, e->chunk};
		if (s[n].len > HOUSE_SHARD)
			s[n].len = HOUSE_SHARD;
		if (++n < EXTENT_STEP && at + HOUSE_SHARD < e->len)
			continue;
		assert_int_equal(meta_begin(h->v->meta, &tx, NULL), 0);
		assert_int_equal(
			meta_end(tx, extent_write(tx, ino, s, n, NULL), NULL),
			0);
		n = 0;
	}
}

/* With the node's lock, under which no cut can come in between. */
static void house_split_all(struct house *h, struct node *node)
{
	struct extent e[64];
	struct extent_span at = {0, UINT64_MAX};
	struct meta_tx *tx = NULL;
	unsigned n = 64;
	int r;

	assert_int_equal(trim_finish(h->v, node->ino, NULL), 0);
	while (n == 64) {
		assert_int_equal(meta_begin(h->v->meta, &tx, NULL), 0);
		r = extent_list(tx, node->ino, at, e, 64, &n, NULL);
		assert_int_equal(meta_end(tx, r, NULL), 0);
		for (unsigned i = 0; i < n; i++)
			house_split(h, node->ino, &e[i]);
		if (n > 0)
			at.off = e[n - 1].off + e[n - 1].len;
	}
}

void house_shatter(struct house *h, struct node *n)
{
	struct pluri_err err = {0};

	house_told(h, write_flush(h->v, n, &err), &err);
	(void)pthread_mutex_lock(&n->lock);
	while (n->flushing)
		(void)pthread_cond_wait(&n->idle, &n->lock);
	house_split_all(h, n);
	(void)pthread_mutex_unlock(&n->lock);
}

bool house_paid(struct house *h, uint64_t ms)
{
	struct pluri_err err = {0};

	house_told(h, staging_close(h->v->staging, &err), &err);
	return upload_wait(h->v->upload, UINT64_MAX, true,
		       clock_mono_ms(clock_system()) + ms, NULL, NULL,
		       NULL) == 0;
}

void house_forget(struct house *h)
{
	struct staging_dropped dropped;
	struct pluri_err err = {0};

	house_told(h, staging_evict(h->v->staging, 0, &dropped, &err), &err);
	cache_drop_all(h->v->cache);
}

void house_clouds(struct house *h)
{
	struct pluri_err err = {0};

	house_told(h, write_flush_all(h->v, &err), &err);
	assert_true(house_paid(h, 60000));
	house_forget(h);
}

static int house_tail_count(void *arg, uint64_t off, struct pluri_span bytes)
{
	uint64_t *sum = arg;

	(void)off;
	*sum += bytes.len;
	return 0;
}

uint64_t house_tail(struct house *h, uint64_t pack)
{
	struct meta_tx *tx = NULL;
	uint64_t sum = 0;

	assert_int_equal(meta_begin(h->v->meta, &tx, NULL), 0);
	assert_int_equal(
		meta_end(tx,
			packs_tail_list(tx, pack, house_tail_count, &sum, NULL),
			NULL),
		0);
	return sum;
}

void house_noise(uint64_t seed, void *to, size_t len)
{
	uint8_t *p = to;

	for (size_t i = 0; i < len; i += 8) {
		uint64_t x = (seed << 32) + i / 8;
		const size_t n = len - i < 8 ? len - i : 8;

		x += UINT64_C(0x9e3779b97f4a7c15);
		x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
		x ^= x >> 31;
		memcpy(p + i, &x, n);
	}
}
