#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "fs/commit.h"
#include "fs/roster.h"
#include "fs/staging_int.h"
#include "fs/upload.h"
#include "meta/chunks.h"

int staging_record(struct staging *s, const struct pack_row *row,
	const struct pack_seal *seal, struct shard_row *ret_shards,
	unsigned *ret_n, struct pluri_err *err)
{
	uint32_t stores[PLURI_SHARDS_MAX];
	struct meta_tx *tx = NULL;
	unsigned n = 0;
	int r = roster_place(
		s->v->roster, row->policy, &row->id, stores, &n, err);

	if (r < 0)
		return r;
	r = meta_begin(s->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = packs_close(tx, row->num, seal->bytes, seal->sum, stores, n, err);
	r = meta_end(tx, r, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++)
		ret_shards[i] = (struct shard_row){.pack = row->num,
			.index = i,
			.store = stores[i],
			.state = SHARD_WANTED};
	*ret_n = n;
	return 0;
}

/*
 * Index, placement, row; durably, before any cloud can see it. After a failure
 * all of it may be repeated: closing cuts a torn index off and writes the same
 * bytes again.
 */
static int staging_finish(
	struct staging *s, struct staging_pack *p, struct pluri_err *err)
{
	struct shard_row shards[PLURI_SHARDS_MAX];
	struct pack_seal seal = {0};
	unsigned n = 0;
	int r;

	atomic_store(&p->sealed, true);
	r = pack_close(p->writer, &seal, err);
	atomic_store(&p->unsynced, true);
	if (r >= 0)
		staging_sync_ahead(s, p);
	if (r >= 0) {
		/* The row says what the index of the file must bear out. */
		commit_enter(s->v->commit);
		r = staging_record(s, &p->row, &seal, shards, &n, err);
		commit_leave(s->v->commit);
	}
	if (r >= 0)
		r = commit_now(s->v->commit, true, err);
	if (r < 0)
		return r;
	upload_pack(s->v->upload, shards, n, seal.bytes);
	return 0;
}

static struct staging_pack *staging_pick(struct staging *s, uint64_t after)
{
	struct staging_pack *p;

	(void)pthread_mutex_lock(&s->lock);
	for (p = s->closing; p && p->ticket <= after; p = p->next_closing)
		;
	(void)pthread_mutex_unlock(&s->lock);
	return p;
}

static void staging_settle(struct staging *s, struct staging_pack *p, int r,
	const struct pluri_err *err)
{
	struct staging_pack **at = &s->closing;

	(void)pthread_mutex_lock(&s->lock);
	if (r < 0) {
		if (!p->failed)
			log_line(LOG_WARN,
				"a pack cannot be closed, will try "
				"again: %s",
				err->text);
		p->failed = true;
		p->err = *err;
	} else {
		while (*at != p)
			at = &(*at)->next_closing;
		*at = p->next_closing;
		staging_unlist(s, p);
	}
	(void)pthread_mutex_unlock(&s->lock);
}

void staging_close_pending(struct staging *s)
{
	struct staging_pack *p;
	uint64_t after = 0;

	(void)pthread_mutex_lock(&s->close_lock);
	while ((p = staging_pick(s, after)) != NULL) {
		struct pluri_err err = {0};

		after = p->ticket;
		staging_settle(s, p, staging_finish(s, p, &err), &err);
	}
	(void)pthread_mutex_unlock(&s->close_lock);
}

/* --- after a crash ------------------------------------------------------- */

struct staging_found {
	struct pack_row *row;
	size_t n, cap;
	uint64_t last; /* highest number */
};

static int staging_note(void *arg, const struct pack_row *p)
{
	struct staging_found *f = arg;
	struct pack_row *more;

	f->last = p->num;
	if (p->state != PACK_OPEN && !p->local)
		return 0;
	if (f->n == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 64;
		more = realloc(f->row, f->cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		f->row = more;
	}
	f->row[f->n++] = *p;
	return 0;
}

/* An open pack without one recorded chunk: nothing of it is wanted. */
static int staging_discard(
	struct staging *s, const struct pack_row *row, struct pluri_err *err)
{
	char name[STAGING_NAME];
	struct meta_tx *tx = NULL;
	int r = meta_begin(s->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = meta_end(tx, packs_drop(tx, row->num, err), err);
	if (r >= 0)
		(void)unlinkat(s->v->packs_fd, staging_name(&row->id, name), 0);
	return r;
}

static int staging_replay(
	struct staging *s, const struct pack_row *row, struct pluri_err *err)
{
	struct shard_row shards[PLURI_SHARDS_MAX];
	struct pack_seal seal = {0};
	char name[STAGING_NAME];
	struct meta_tx *tx = NULL;
	uint64_t end = 0;
	unsigned n = 0;
	int fd;
	int r = meta_begin(s->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = meta_end(tx, chunks_end(tx, row->num, &end, err), err);
	if (r < 0)
		return r;
	if (end == 0)
		return staging_discard(s, row, err);
	fd = openat(s->v->packs_fd, staging_name(&row->id, name),
		O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return pluri_fail(
			err, errno, "local pack %s: %s", name, strerror(errno));
	r = staging_sync_replay(s, row->num, fd, err);
	if (r >= 0)
		r = pack_replay(s->v->keys, &row->id, fd, end, &seal, err);
	if (r >= 0 && fsync(fd) < 0)
		r = pluri_fail(
			err, errno, "local pack %s: %s", name, strerror(errno));
	(void)close(fd);
	if (r >= 0)
		r = staging_record(s, row, &seal, shards, &n, err);
	return r;
}

/*
 * The row says that there is a local file; is there? A file that is gone is
 * only forgotten once the clouds have all of the pack: else it may be the one
 * copy, on a disk that is not mounted just now.
 */
static int staging_confirm(
	struct staging *s, const struct pack_row *row, struct pluri_err *err)
{
	char name[STAGING_NAME];
	struct stat st;
	int r;

	(void)staging_name(&row->id, name);
	r = fstatat(s->v->packs_fd, name, &st, AT_SYMLINK_NOFOLLOW);
	if (r == 0 && (uint64_t)st.st_size != row->bytes)
		/* Kept: what of it is authentic may be all there is. */
		log_line(LOG_ERROR,
			"local pack %s has another size: %llu, "
			"expected %llu",
			name, (unsigned long long)st.st_size,
			(unsigned long long)row->bytes);
	if (r == 0)
		return 0;
	r = staging_release(s, row->num, err);
	if (r != 0)
		return r < 0 ? r : 0;
	s->missing++;
	log_line(LOG_ERROR,
		"local pack %s is gone, and the clouds do not have all of it "
		"yet: is %s/" VOLUME_PACKS " mounted?",
		name, s->v->config->state);
	return 0;
}

unsigned staging_missing(struct staging *s)
{
	return s->missing;
}

int staging_recover(struct staging *s, struct pluri_err *err)
{
	struct staging_found found = {0};
	struct meta_tx *tx = NULL;
	int r = meta_begin(s->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = packs_list(tx, 0, staging_note, &found, err);
	r = meta_end(tx, r, err);
	atomic_store(&s->last, found.last);
	for (size_t i = 0; i < found.n && r >= 0; i++) {
		struct pluri_err why = {0};

		if (found.row[i].state != PACK_OPEN) {
			r = staging_confirm(s, &found.row[i], err);
			continue;
		}
		if (staging_replay(s, &found.row[i], &why) == 0)
			continue;
		s->missing++;
		log_line(LOG_ERROR,
			"an unfinished pack cannot be closed; what of it is "
			"readable stays so: %s",
			why.text);
	}
	if (r >= 0)
		r = meta_commit(s->v->meta, err);
	if (r >= 0)
		r = meta_sync(s->v->meta, err);
	if (r >= 0)
		r = staging_sweep(s, found.row, found.n, err);
	free(found.row);
	return r;
}
