/*
 * staging_sync.c - packs as durable as the commit that follows.
 *
 * An fsync of a few bytes would flush two files, one after the other: the pack,
 * then the database's log, whose rows point into it. So the few bytes go into
 * the log themselves, as rows of the same transaction, and the pack's file is
 * flushed when they have become many. The rows are then dropped, again in that
 * commit. What a power cut takes of the file, staging_sync_replay() puts back:
 * the very bytes, so no nonce seals two texts.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/staging_int.h"

/* Is it worth it? The file's name and its bytes before are to be safe. */
static bool sync_few(const struct staging_pack *p, uint64_t end)
{
	return p->synced > 0 && !atomic_load(&p->sealed) &&
	       end - p->logged <= STAGING_TAIL &&
	       end - p->synced <= STAGING_TAILS;
}

static int sync_fail(struct staging *s, int r, struct pluri_err *err)
{
	return pluri_fail(err, -r,
		"cannot sync local packs in %s/" VOLUME_PACKS ": %s",
		s->v->config->state, strerror(-r));
}

static int sync_log(struct staging *s, struct staging_pack *p, uint64_t end,
	struct pluri_err *err)
{
	const size_t len = end - p->logged;
	struct meta_tx *tx = NULL;
	ssize_t got;
	int r;

	if (len == 0)
		return 0;
	got = pread(p->fd, s->tail, len, (off_t)p->logged);
	if (got != (ssize_t)len)
		return sync_fail(s, got < 0 ? -errno : -EIO, err);
	r = meta_begin(s->v->meta, &tx, err);
	if (r >= 0)
		r = meta_end(tx,
			packs_tail_add(tx, p->row.num, p->logged,
				(struct pluri_span){s->tail, len}, err),
			err);
	if (r < 0)
		return r;
	p->logged = end;
	p->rows = true;
	return 0;
}

/* The file has them. On a full disk they stay, to no harm, until the pack is
 * closed. */
static int sync_drop(
	struct staging *s, struct staging_pack *p, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r;

	if (!p->rows)
		return 0;
	r = meta_begin(s->v->meta, &tx, err);
	if (r < 0)
		return r;
	r = meta_end(tx, packs_tail_drop(tx, p->row.num, err), err);
	p->rows = r < 0;
	if (!p->rows) /* those beyond what was flushed are gone, too */
		p->logged = p->synced;
	return r == -ENOSPC ? 0 : r;
}

static int sync_flush(struct staging *s, struct staging_pack *p, uint64_t end,
	struct pluri_err *err)
{
	if (fdatasync(p->fd) < 0)
		return sync_fail(s, -errno, err);
	p->synced = p->logged = end;
	return sync_drop(s, p, err);
}

static int sync_pack(
	struct staging *s, struct staging_pack *p, struct pluri_err *err)
{
	uint64_t end;
	int r = -ENOSPC;

	if (!atomic_exchange(&p->unsynced, false))
		return 0;
	end = atomic_load(&p->end); /* not before: what comes now counts */
	if (!atomic_load(&p->sealed) && atomic_load(&p->due) <= p->synced)
		return sync_drop(s, p, err);
	if (sync_few(p, end))
		r = sync_log(s, p, end, err);
	/* The database takes no more on a full disk; what the file has needs
	 * no room. */
	return r == -ENOSPC ? sync_flush(s, p, end, err) : r;
}

/* The names of new files; with s->lock held. */
static int sync_names(struct staging *s, struct pluri_err *err)
{
	if (s->dir_unsynced && fsync(s->v->packs_fd) < 0)
		return sync_fail(s, -errno, err);
	s->dir_unsynced = false;
	return 0;
}

int staging_sync(struct staging *s, struct pluri_err *err)
{
	int r;

	/* Files leave the list only under this lock, so it is held; appends
	 * do not need it. */
	(void)pthread_mutex_lock(&s->lock);
	r = s->sync_failed;
	if (r < 0)
		(void)sync_fail(s, r, err);
	for (struct staging_pack *p = s->files; p && r >= 0; p = p->next_file)
		r = sync_pack(s, p, err);
	if (r >= 0)
		r = sync_names(s, err);
	s->sync_failed = r < 0 ? r : 0;
	(void)pthread_mutex_unlock(&s->lock);
	return r < 0 ? r : 0;
}

static struct staging_pack *sync_find(struct staging *s, uint64_t num)
{
	struct staging_pack *p = s->files;

	while (p && p->row.num != num)
		p = p->next_file;
	return p;
}

/*
 * What is to be flushed: 1, its end, and a descriptor, as the file may be
 * closed and forgotten meanwhile, which it is only once it is durable; else 0.
 */
static int sync_stable_begin(struct staging *s, uint64_t num, int *ret_fd,
	uint64_t *end, struct pluri_err *err)
{
	struct staging_pack *p;
	int r = s->sync_failed;

	if (r < 0)
		return sync_fail(s, r, err);
	p = sync_find(s, num);
	if (!p || p->synced >= *end)
		return 0;
	r = sync_names(s, err);
	if (r < 0) {
		s->sync_failed = r;
		return r;
	}
	*end = atomic_load(&p->end);
	*ret_fd = fcntl(p->ahead_fd, F_DUPFD_CLOEXEC, 0);
	return *ret_fd >= 0
		       ? 1
		       : pluri_fail(err, errno, "cannot sync a local pack: %s",
				 strerror(errno));
}

static int sync_stable_end(struct staging *s, uint64_t num, int code,
	uint64_t end, struct pluri_err *err)
{
	struct staging_pack *p = sync_find(s, num);

	if (code == -ESTALE) /* a flush would begin anew */
		code = -EIO;
	if (code < 0) {
		s->sync_failed = code;
		return sync_fail(s, code, err);
	}
	if (p && p->synced < end)
		p->synced = end;
	if (p && p->logged < end)
		p->logged = end;
	return 0;
}

/*
 * Those who come while one flushes find theirs done, or flush all that has come
 * since. Under ahead_lock until the failure is noted: the kernel tells of it
 * once, and the next one would be told that all is well. No commit can go wrong
 * meanwhile: such bytes have no row yet.
 */
int staging_stable(
	struct staging *s, uint64_t pack, uint64_t end, struct pluri_err *err)
{
	int code = 0;
	int fd = -1;
	int r;

	(void)pthread_mutex_lock(&s->ahead_lock);
	(void)pthread_mutex_lock(&s->lock);
	r = sync_stable_begin(s, pack, &fd, &end, err);
	(void)pthread_mutex_unlock(&s->lock);
	if (r > 0) {
		code = fdatasync(fd) < 0 ? -errno : 0;
		(void)close(fd);
		(void)pthread_mutex_lock(&s->lock);
		r = sync_stable_end(s, pack, code, end, err);
		(void)pthread_mutex_unlock(&s->lock);
	}
	(void)pthread_mutex_unlock(&s->ahead_lock);
	return r;
}

void staging_sync_ahead(struct staging *s, const struct staging_pack *p)
{
	char name[STAGING_NAME];
	const int fd = openat(s->v->packs_fd, staging_name(&p->row.id, name),
		O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return;
	(void)fdatasync(fd);
	(void)close(fd);
}

struct sync_replay {
	int fd;
	uint64_t end; /* of the last row; of the head */
};

static int sync_put(void *arg, uint64_t off, struct pluri_span bytes)
{
	struct sync_replay *to = arg;
	ssize_t n;

	if (off < to->end)
		return -EBADMSG;
	to->end = off + bytes.len;
	n = pwrite(to->fd, bytes.data, bytes.len, (off_t)off);
	if (n == (ssize_t)bytes.len)
		return 0;
	return n < 0 ? -errno : -ENOSPC;
}

int staging_sync_replay(
	struct staging *s, uint64_t num, int fd, struct pluri_err *err)
{
	struct sync_replay to = {fd, PACK_HEAD};
	struct meta_tx *tx = NULL;
	int r = meta_begin(s->v->meta, &tx, err);

	if (r < 0)
		return r;
	return meta_end(tx, packs_tail_list(tx, num, sync_put, &to, err), err);
}
