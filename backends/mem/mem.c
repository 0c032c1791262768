#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "backends/call.h"
#include "backends/key.h"
#include "base/own.h"
#include "base/text.h"

#include "backends/backend.h"

/*
 * mem:NAME - objects in this process's memory, for tests and for trying
 * things out.
 *
 * Instances of the same NAME share one store, and the store outlives them: a
 * test closes a volume and opens it again, as a machine does with a cloud
 * that stays. That is why the list of stores below is the one mutable global
 * of the backends; there is nobody else in the process who could own it, and
 * it is only reached under its lock.
 */
#define MEM_PAGE_KEYS 1000u
#define MEM_CONCURRENCY 64u
#define MEM_NAME_MAX 64u

struct mem_object {
	char key[PLURI_OBJECT_KEY_MAX + 1];
	uint64_t size;
	uint8_t data[];
};

struct mem_store {
	char name[MEM_NAME_MAX + 1];
	struct mem_store *next;
	pthread_mutex_t lock; /* guards what follows */
	struct mem_object **objects; /* sorted by key */
	size_t n, cap;
};

struct pluri_backend {
	struct mem_store *store;
	uint32_t page;
};

static struct mem_stores {
	pthread_mutex_t lock; /* guards first and every next */
	struct mem_store *first;
} mem_stores = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct mem_store *mem_store_new(const char *name)
{
	struct mem_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	(void)pthread_mutex_init(&s->lock, NULL);
	return s;
}

static struct mem_store *mem_store_named(const char *name)
{
	struct mem_store *s;

	(void)pthread_mutex_lock(&mem_stores.lock);
	for (s = mem_stores.first; s; s = s->next)
		if (strcmp(s->name, name) == 0)
			break;
	if (!s) {
		s = mem_store_new(name);
		if (s) {
			s->next = mem_stores.first;
			mem_stores.first = s;
		}
	}
	(void)pthread_mutex_unlock(&mem_stores.lock);
	return s;
}

/* Index of the first key >= key; *ret_hit: it is equal. Lock held. */
static size_t mem_seek(
	const struct mem_store *s, const char *key, bool *ret_hit)
{
	size_t lo = 0;
	size_t hi = s->n;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (strcmp(s->objects[mid]->key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_hit = lo < s->n && strcmp(s->objects[lo]->key, key) == 0;
	return lo;
}

/* Takes o when it returns 0; lock held. */
static int mem_insert(struct mem_store *s, struct mem_object *o, bool only_new)
{
	bool hit = false;
	const size_t at = mem_seek(s, o->key, &hit);

	if (hit && only_new)
		return -EEXIST;
	if (hit) {
		free(s->objects[at]);
		s->objects[at] = o;
		return 0;
	}
	if (s->n == s->cap) {
		const size_t cap = s->cap ? 2 * s->cap : 64;
		struct mem_object **p;

		p = realloc(s->objects, cap * sizeof(struct mem_object *));
		if (!p)
			return -ENOMEM;
		s->objects = p;
		s->cap = cap;
	}
	memmove(s->objects + at + 1, s->objects + at,
		(s->n - at) * sizeof(struct mem_object *));
	s->objects[at] = o;
	s->n++;
	return 0;
}

static int mem_fill(const struct pluri_call *call,
	const struct pluri_body *body, uint8_t *to, struct pluri_err *err)
{
	int r = call_check(call, err);

	for (uint64_t off = 0; off < body->size && r == 0;) {
		const uint64_t left = body->size - off;
		const size_t n = left < CALL_PIECE_BYTES ? (size_t)left
							 : CALL_PIECE_BYTES;

		r = call_body(body, off, to + off, n, err);
		off += n;
		if (r == 0)
			r = call_check(call, err);
	}
	return r;
}

static int mem_put(struct pluri_backend *b, struct pluri_call *call,
	const char *key, const struct pluri_body *body, uint32_t flags,
	struct pluri_err *err)
{
	pluri_auto_mem struct mem_object *o = NULL;
	int r;

	r = key_check(key, err);
	if (r < 0)
		return r;
	if (flags & ~PLURI_PUT_NEW)
		return pluri_fail(err, ENOTSUP, "mem: put flags %#x", flags);
	if (body->size > PLURI_PACK_MAX)
		return pluri_fail(err, EINVAL, "mem: an object of %llu bytes",
			(unsigned long long)body->size);
	o = malloc(sizeof(*o) + (size_t)body->size);
	if (!o)
		return pluri_fail(err, ENOSPC, "mem: out of memory");
	(void)snprintf(o->key, sizeof(o->key), "%s", key);
	o->size = body->size;
	r = mem_fill(call, body, o->data, err);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&b->store->lock);
	r = mem_insert(b->store, o, flags & PLURI_PUT_NEW);
	(void)pthread_mutex_unlock(&b->store->lock);
	if (r == -EEXIST)
		return pluri_fail(err, EEXIST,
			"mem:%s: object %s is there "
			"already",
			b->store->name, key);
	if (r < 0)
		return pluri_fail(err, ENOSPC, "mem: out of memory");
	(void)pluri_steal(o);
	return 0;
}

static int mem_get(struct pluri_backend *b, struct pluri_call *call,
	const char *key, uint64_t off, struct pluri_room *into,
	uint64_t *ret_size, struct pluri_err *err)
{
	struct mem_store *s = b->store;
	const struct mem_object *o;
	bool hit = false;
	size_t at;
	int r;

	r = key_check(key, err);
	if (r == 0)
		r = call_check(call, err);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&s->lock);
	at = mem_seek(s, key, &hit);
	if (hit) {
		o = s->objects[at];
		into->len = 0;
		if (off < o->size)
			into->len = o->size - off < into->cap
					    ? (size_t)(o->size - off)
					    : into->cap;
		if (into->len)
			memcpy(into->data, o->data + off, into->len);
		if (ret_size)
			*ret_size = o->size;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return hit ? 0
		   : pluri_fail(err, ENOENT, "mem:%s: there is no object %s",
			     s->name, key);
}

static int mem_del(struct pluri_backend *b, struct pluri_call *call,
	const char *key, struct pluri_err *err)
{
	struct mem_store *s = b->store;
	bool hit = false;
	size_t at;
	int r;

	r = key_check(key, err);
	if (r == 0)
		r = call_check(call, err);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&s->lock);
	at = mem_seek(s, key, &hit);
	if (hit) {
		free(s->objects[at]);
		s->n--;
		memmove(s->objects + at, s->objects + at + 1,
			(s->n - at) * sizeof(struct mem_object *));
	}
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

/* The first key behind token and under prefix; false at the end. */
static bool mem_next(struct mem_store *s, const char *prefix, const char *token,
	char key[PLURI_OBJECT_KEY_MAX + 1], uint64_t *ret_size)
{
	const bool inside = strcmp(token, prefix) >= 0;
	bool hit = false;
	bool found = false;
	size_t at;

	(void)pthread_mutex_lock(&s->lock);
	at = mem_seek(s, inside ? token : prefix, &hit);
	/* a token was told already; a prefix may be a key itself */
	if (hit && inside && token[0])
		at++;
	if (at < s->n &&
		strncmp(s->objects[at]->key, prefix, strlen(prefix)) == 0) {
		(void)snprintf(key, PLURI_OBJECT_KEY_MAX + 1, "%s",
			s->objects[at]->key);
		*ret_size = s->objects[at]->size;
		found = true;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

/* The lock is not held while each() runs: it may call us. */
static int mem_list(struct pluri_backend *b, struct pluri_call *call,
	const char *prefix, struct pluri_page *page, struct pluri_err *err)
{
	char last[PLURI_OBJECT_KEY_MAX + 1] = "";
	char key[PLURI_OBJECT_KEY_MAX + 1];
	uint64_t size = 0;
	bool more = false;
	int r;

	r = key_check_prefix(prefix, err);
	if (r < 0)
		return r;
	if (page->token[0] && !key_lawful(page->token))
		return pluri_fail(err, EINVAL,
			"mem:%s: not a token of this "
			"store",
			b->store->name);
	memcpy(last, page->token, strnlen(page->token, sizeof(last) - 1));
	for (uint32_t told = 0;; told++) {
		r = call_check(call, err);
		if (r < 0)
			return r;
		more = mem_next(b->store, prefix, last, key, &size);
		if (!more || told == b->page)
			break;
		r = page->each(page->arg, key, size);
		if (r != 0)
			return pluri_fail(
				err, r < 0 ? -r : r, "listing was stopped");
		memcpy(last, key, sizeof(last));
	}
	(void)snprintf(
		page->token, sizeof(page->token), "%s", more ? last : "");
	return 0;
}

static int mem_open(const struct pluri_host *host, const char *url,
	struct pluri_backend **ret, struct pluri_err *err)
{
	pluri_auto_mem struct pluri_backend *b = NULL;
	const char *page = host->option(host->ctx, "page");
	uint64_t keys = MEM_PAGE_KEYS;
	int r = 0;

	if (strncmp(url, "mem:", 4) != 0 || url[4] == 0 ||
		strlen(url + 4) > MEM_NAME_MAX || !key_lawful(url + 4))
		return pluri_fail(err, EINVAL,
			"url = %.100s: write mem:NAME, "
			"a name of 1 to %u letters",
			url, MEM_NAME_MAX);
	if (page)
		r = text_uint(page, MEM_PAGE_KEYS, &keys, err);
	if (r < 0)
		return r;
	if (keys == 0)
		return pluri_fail(
			err, EINVAL, "page = 0: write 1 to %u", MEM_PAGE_KEYS);
	b = calloc(1, sizeof(*b));
	if (b)
		b->store = mem_store_named(url + 4);
	if (!b || !b->store)
		return pluri_fail(err, ENOMEM, "out of memory");
	b->page = (uint32_t)keys;
	*ret = pluri_steal(b);
	return 0;
}

static void mem_close(struct pluri_backend *b)
{
	free(b);
}

static void mem_limits(const struct pluri_backend *b, struct pluri_limits *ret)
{
	*ret = (struct pluri_limits){
		.caps = PLURI_CAP_RANGE | PLURI_CAP_NEW | PLURI_CAP_VISIBLE |
			PLURI_CAP_SORTED | PLURI_CAP_LOCAL,
		.object_max = PLURI_PACK_MAX,
		.concurrency = MEM_CONCURRENCY,
		.list_page = b->page,
	};
}

PLURI_EXPORT const struct pluri_backend_ops *pluri_backend_entry(void)
{
	static const struct pluri_backend_ops ops = {
		.abi = PLURI_BACKEND_ABI,
		.size = sizeof(ops),
		.name = "mem",
		.open = mem_open,
		.close = mem_close,
		.limits = mem_limits,
		.put = mem_put,
		.get = mem_get,
		.del = mem_del,
		.list = mem_list,
	};

	return &ops;
}
