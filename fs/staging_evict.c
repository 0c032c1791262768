#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "fs/commit.h"
#include "fs/staging_int.h"
#include "meta/garbage.h"

struct evict_pack {
	uint64_t num, bytes, used;
	struct pluri_id id;
};

struct evict_list {
	struct evict_pack *pack;
	size_t n, cap;
	uint64_t bytes; /* of all local files */
};

static int evict_note(void *arg, const struct pack_row *p)
{
	struct evict_list *l = arg;
	struct evict_pack *more;

	if (!p->local)
		return 0;
	l->bytes += p->bytes;
	if (p->state != PACK_CLOSED)
		return 0;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 256;
		more = realloc(l->pack, l->cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->pack = more;
	}
	l->pack[l->n++] = (struct evict_pack){
		.num = p->num, .bytes = p->bytes, .id = p->id};
	return 0;
}

static int evict_order(const void *a, const void *b)
{
	const struct evict_pack *x = a;
	const struct evict_pack *y = b;

	if (x->used != y->used)
		return x->used < y->used ? -1 : 1;
	return x->num < y->num ? -1 : x->num > y->num;
}

/* Every shard is stored: 1, and the row says that the file is gone. */
int staging_release(struct staging *s, uint64_t num, struct pluri_err *err)
{
	struct shard_row shard[PLURI_SHARDS_MAX];
	struct meta_tx *tx = NULL;
	unsigned n = 0;
	bool full = true;
	int r = meta_begin(s->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = packs_shards(tx, num, shard, PLURI_SHARDS_MAX, &n, err);
	for (unsigned i = 0; i < n; i++)
		full &= shard[i].state == SHARD_STORED;
	full &= n > 0;
	if (r >= 0 && full)
		r = packs_set_local(tx, num, false, err);
	r = meta_end(tx, r, err);
	return r < 0 ? r : full;
}

static int evict_packs(struct staging *s, struct evict_list *l, uint64_t keep,
	struct staging_dropped *ret, struct pluri_err *err)
{
	uint64_t left = l->bytes;
	size_t gone = 0;
	int r = 0;

	for (size_t i = 0; i < l->n; i++) {
		const bool want = left > keep;

		r = want ? staging_release(s, l->pack[i].num, err) : 0;
		if (r < 0)
			return r;
		if (r == 0) {
			ret->kept++;
			ret->kept_bytes += l->pack[i].bytes;
			continue;
		}
		left -= l->pack[i].bytes;
		ret->dropped++;
		ret->dropped_bytes += l->pack[i].bytes;
		l->pack[gone++] = l->pack[i];
	}
	/* That all shards are stored must outlive a power cut before the
	 * last local copy goes. */
	if (gone > 0)
		r = commit_now(s->v->commit, true, err);
	for (size_t i = 0; i < gone && r >= 0; i++) {
		char name[STAGING_NAME];

		if (unlinkat(s->v->packs_fd, staging_name(&l->pack[i].id, name),
			    0) < 0 &&
			errno != ENOENT)
			log_line(LOG_WARN, "cannot remove local pack %s: %s",
				name, strerror(errno));
	}
	return r;
}

int staging_evict(struct staging *s, uint64_t keep, struct staging_dropped *ret,
	struct pluri_err *err)
{
	struct evict_list l = {0};
	struct meta_tx *tx = NULL;
	int r = meta_begin(s->v->meta, &tx, err);

	if (r < 0)
		return r;
	*ret = (struct staging_dropped){0};
	r = packs_list(tx, 0, evict_note, &l, err);
	r = meta_end(tx, r, err);
	for (size_t i = 0; i < l.n; i++)
		l.pack[i].used = staging_used(s, &l.pack[i].id);
	if (r >= 0 && l.n > 0) {
		qsort(l.pack, l.n, sizeof(l.pack[0]), evict_order);
		r = evict_packs(s, &l, keep, ret, err);
	}
	free(l.pack);
	return r;
}

static bool sweep_known(const struct pack_row *rows, size_t n, const char *name)
{
	char known[STAGING_NAME];

	for (size_t i = 0; i < n; i++)
		if (strcmp(staging_name(&rows[i].id, known), name) == 0)
			return true;
	return false;
}

#define SWEEP_LOST "lost"

/* Unknown to the database: uncommitted, or it was restored from an older copy.
 * Which of the two cannot be told from here. */
static int sweep_lose(struct staging *s, const char *name)
{
	char to[sizeof(SWEEP_LOST) + STAGING_NAME];

	(void)snprintf(to, sizeof(to), SWEEP_LOST "/%s", name);
	if (mkdirat(s->v->packs_fd, SWEEP_LOST, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (renameat(s->v->packs_fd, name, s->v->packs_fd, to) < 0)
		return -errno;
	log_line(LOG_INFO, "pack %s is not in the database: set aside as %s",
		name, to);
	return 0;
}

static int sweep_local(struct staging *s, uint64_t num, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	const int r = meta_begin(s->v->meta, &tx, err);

	if (r < 0)
		return r;
	return meta_end(tx, packs_set_local(tx, num, true, err), err);
}

static int sweep_file(struct staging *s, const struct pluri_id *id,
	const char *name, struct pluri_err *err)
{
	struct pack_row row = {0};
	struct meta_tx *tx = NULL;
	int buried = 0;
	int r = meta_begin(s->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = packs_find(tx, id, &row, err);
	if (r == -ENOENT)
		buried = garbage_known(tx, id, err);
	r = meta_end(tx, buried < 0 ? buried : r, err);
	if (r == -EBADMSG) /* a damaged row's file stays */
		return 0;
	if (r == -ENOENT && buried > 0) {
		(void)unlinkat(s->v->packs_fd, name, 0);
		return 0;
	}
	if (r == -ENOENT) {
		r = sweep_lose(s, name);
		if (r < 0)
			log_line(LOG_WARN, "local pack %s: %s", name,
				strerror(-r));
		return 0;
	}
	if (r >= 0)
		r = staging_release(s, row.num, err);
	if (r == 0)
		return sweep_local(s, row.num, err);
	if (r > 0)
		(void)unlinkat(s->v->packs_fd, name, 0);
	return r < 0 ? r : 0;
}

/* Is it a pack's name that no local row has? */
static bool sweep_stray(const struct pack_row *rows, size_t n, const char *name,
	struct pluri_id *ret_id)
{
	char hex[2 * PLURI_ID_BYTES + 1];

	if (strlen(name) != STAGING_NAME - 1 ||
		strcmp(name + 2 * PLURI_ID_BYTES, ".pack") != 0)
		return false;
	memcpy(hex, name, sizeof(hex) - 1);
	hex[sizeof(hex) - 1] = 0;
	return text_unhex(hex, ret_id->b, sizeof(ret_id->b)) == 0 &&
	       !sweep_known(rows, n, name);
}

int staging_sweep(struct staging *s, const struct pack_row *rows, size_t n,
	struct pluri_err *err)
{
	const int fd = dup(s->v->packs_fd);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		if (fd >= 0)
			(void)close(fd);
		return 0;
	}
	rewinddir(d);
	while (r == 0 && (e = readdir(d)) != NULL) {
		struct pluri_id id;

		if (sweep_stray(rows, n, e->d_name, &id))
			r = sweep_file(s, &id, e->d_name, err);
	}
	(void)closedir(d);
	return r;
}
