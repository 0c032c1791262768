#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "chunker/digest.h"
#include "fs/fetch.h"
#include "fs/staging.h"
#include "fs/upload.h"

#define SHARD_JOB_PIECE (256u << 10)

struct shard_job {
	struct shard_head head;
	uint8_t head_bytes[SHARD_HEAD];
	char key[PLURI_OBJECT_KEY_MAX + 1];
	struct pluri_body body;
	int fd; /* pack bytes */
};

/* stripe_read over the pack's file. */
static int shard_job_pack(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	const struct shard_job *j = arg;
	const ssize_t n = pread(j->fd, to, len, (off_t)off);

	if (n == (ssize_t)len)
		return 0;
	return pluri_fail(err, n < 0 ? errno : EBADMSG,
		"local bytes of %s at %llu: %s", j->key,
		(unsigned long long)off,
		n < 0 ? strerror(errno) : "the file ends early");
}

static int shard_job_read(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	struct shard_job *j = arg;
	struct pluri_room room;
	uint8_t *p = to;

	if (off > j->body.size || len > j->body.size - off)
		return pluri_fail(err, EINVAL, "read beyond shard %s", j->key);
	if (off < SHARD_HEAD && len > 0) {
		const size_t left = SHARD_HEAD - (size_t)off;
		const size_t n = len < left ? len : left;

		memcpy(p, j->head_bytes + off, n);
		p += n;
		off += n;
		len -= n;
	}
	if (len == 0)
		return 0;
	room = (struct pluri_room){.data = p, .cap = len};
	return stripe_body(&j->head.layout, j->head.index, shard_job_pack, j,
		off - SHARD_HEAD, &room, err);
}

/* Is the local file what was recorded? A disk may have rotted it. */
static int shard_job_check(
	int fd, const struct pack_row *p, struct pluri_err *err)
{
	pluri_auto(digest_run) sum = digest_run_new();
	pluri_auto_mem uint8_t *buf = malloc(SHARD_JOB_PIECE);
	uint64_t off = 0;
	ssize_t n;

	if (!sum || !buf)
		return pluri_fail(err, ENOMEM, "shard: no memory");
	while ((n = pread(fd, buf, SHARD_JOB_PIECE, (off_t)off)) > 0) {
		digest_run_add(sum, (struct pluri_span){buf, (size_t)n});
		off += (uint64_t)n;
	}
	if (n < 0)
		return pluri_fail(
			err, errno, "local pack: %s", strerror(errno));
	if (off != p->bytes || digest_run_sum(sum) != p->sum)
		return pluri_fail(err, EBADMSG,
			"the local pack is not what was recorded");
	return 0;
}

/* Pack bytes: the local file, or a copy without a name; checked either way. */
static int shard_job_source(struct volume *v, const struct pack_row *p,
	const struct fetch_pace *how, struct pluri_err *err)
{
	int fd = staging_file(v->staging, &p->id);
	int r = fd;

	if (fd >= 0) {
		r = shard_job_check(fd, p, err);
		if (r >= 0)
			return fd;
		(void)close(fd);
	}
	if (r != -ENOENT && r != -EBADMSG)
		return fd < 0 ? pluri_fail(
					err, -r, "local pack: %s", strerror(-r))
			      : r;
	fd = openat(v->state_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return pluri_fail(err, errno, "temporary file in %s: %s",
			v->config->state, strerror(errno));
	r = fetch_pack(v, p, fd, how, err);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	return fd;
}

int shard_job_new(struct volume *v, const struct pack_row *p, unsigned index,
	const struct fetch_pace *how, struct shard_job **ret,
	struct pluri_err *err)
{
	struct shard_job *j = calloc(1, sizeof(*j));
	struct shard_head *h;

	if (!j)
		return pluri_fail(err, ENOMEM, "shard: no memory");
	h = &j->head;
	h->volume = v->info.id;
	h->pack = p->id;
	h->layout = (struct layout){
		.kind = (enum stripe_kind)p->kind, .k = p->k, .m = p->m};
	h->index = (uint8_t)index;
	h->pack_bytes = p->bytes;
	h->pack_sum = p->sum;
	h->body_bytes = stripe_body_bytes(&h->layout, p->bytes);
	h->body_sum = p->sum; /* mirror: the body is the pack */
	shard_head_encode(h, j->head_bytes);
	shard_name(&p->id, index, j->key);
	j->body = (struct pluri_body){.size = SHARD_HEAD + h->body_bytes,
		.read = shard_job_read,
		.arg = j};
	j->fd = shard_job_source(v, p, how, err);
	if (j->fd < 0) {
		const int r = j->fd;

		free(j);
		return r;
	}
	*ret = j;
	return 0;
}

const struct pluri_body *shard_job_body(const struct shard_job *j)
{
	return &j->body;
}

const struct shard_head *shard_job_head(const struct shard_job *j)
{
	return &j->head;
}

void shard_job_forget(const struct shard_job *j)
{
	(void)posix_fadvise(j->fd, 0, 0, POSIX_FADV_DONTNEED);
}

void shard_job_free(struct shard_job *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		(void)close(j->fd);
	free(j);
}

int shard_job_same(struct volume *v, const struct shard_job *j, uint32_t store,
	const char *key, struct pluri_err *err)
{
	uint8_t got[SHARD_HEAD];
	struct pluri_room room = {.data = got, .cap = sizeof(got)};
	uint64_t size = 0;
	const uint64_t deadline = clock_mono_ms(clock_system()) +
				  2 * (uint64_t)v->config->timeout_ms;
	const int r = fleet_get(v->fleet,
		&(struct fleet_at){.store = store,
			.key = key,
			.deadline_ms = deadline,
			.flags = FLEET_RETRY},
		0, &room, &size, err);

	if (r < 0)
		return r;
	if (size == j->body.size && room.len == sizeof(got) &&
		memcmp(got, j->head_bytes, sizeof(got)) == 0)
		return 1;
	(void)pluri_fail(err, ESTALE,
		"%s holds other bytes (%llu, expected "
		"%llu): did another machine use this volume?",
		key, (unsigned long long)size,
		(unsigned long long)j->body.size);
	return 0;
}

struct shard_wait {
	struct fleet_put put;
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	bool done;
	int code;
	struct pluri_err err;
};

static void shard_job_done(
	struct fleet_put *p, int code, const struct pluri_err *e)
{
	struct shard_wait *w = p->arg;

	(void)pthread_mutex_lock(&w->lock);
	w->code = code;
	if (code < 0 && e)
		w->err = *e;
	w->done = true;
	(void)pthread_cond_signal(&w->done_cond);
	(void)pthread_mutex_unlock(&w->lock);
}

int shard_job_put(struct volume *v, const struct shard_job *j, uint32_t store,
	struct pluri_err *err)
{
	struct shard_wait w = {.put = {.store = store,
				       .body = j->body,
				       .done = shard_job_done}};
	int r;

	w.put.arg = &w;
	memcpy(w.put.key, j->key, sizeof(j->key));
	(void)pthread_mutex_init(&w.lock, NULL);
	(void)pthread_cond_init(&w.done_cond, NULL);
	fleet_put(v->fleet, &w.put);
	(void)pthread_mutex_lock(&w.lock);
	while (!w.done)
		(void)pthread_cond_wait(&w.done_cond, &w.lock);
	(void)pthread_mutex_unlock(&w.lock);
	(void)pthread_cond_destroy(&w.done_cond);
	(void)pthread_mutex_destroy(&w.lock);
	if (w.code >= 0)
		return 0;
	if (w.code != -EEXIST) {
		if (err)
			*err = w.err;
		return w.code;
	}
	r = shard_job_same(v, j, store, j->key, err);
	return r > 0 ? 0 : r < 0 ? r : -ESTALE;
}
