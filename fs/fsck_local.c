#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "fs/staging_int.h"
#include "meta/chunks.h"
#include "meta/garbage.h"

#include "fs/fsck_int.h"

#define LOCAL_BATCH 256u
#define LOCAL_LOOKS 3u
#define LOCAL_PAUSE_MS 700u /* between looks at a file without a row */
#define LOCAL_LOST "lost"

struct local_batch {
	struct meta_tx *tx;
	struct fsck_run *c;
	bool repair;
	uint64_t after;
	unsigned n;
	int r;
	struct pluri_err *err;
};

/* How many shards are stored. */
static int local_stored(struct meta_tx *tx, const struct pack_row *p,
	unsigned *ret, struct pluri_err *err)
{
	struct shard_row shard[PLURI_SHARDS_MAX];
	unsigned n = 0;
	const int r =
		packs_shards(tx, p->num, shard, PLURI_SHARDS_MAX, &n, err);

	*ret = 0;
	for (unsigned i = 0; i < n; i++)
		*ret += shard[i].state == SHARD_STORED;
	return r;
}

/* The clouds have it: its row says that there is no file, and a short one
 * goes. */
static int local_mend(
	struct local_batch *b, const struct pack_row *p, struct fsck_item *i)
{
	unsigned stored = 0;
	int r = local_stored(b->tx, p, &stored, b->err);

	i->f.grave = stored < p->k;
	if (r < 0 || p->state != PACK_CLOSED || stored < p->k) {
		i->f.action = "none: the clouds do not have the pack, and what "
			      "it held is lost; restore the files";
		return r;
	}
	i->f.action = "reads the pack from the clouds from now on";
	if (!b->repair)
		return 0;
	r = packs_set_local(b->tx, p->num, false, b->err);
	if (r == 0 && unlinkat(b->c->v->packs_fd, i->file, 0) < 0 &&
		errno != ENOENT)
		r = pluri_fail(b->err, errno, "check: %s: %s", i->file,
			strerror(errno));
	if (r == 0)
		i->f.state = FSCK_REPAIRED;
	return r;
}

/* Inside of the bracket that says it is local, it is. */
static int local_look(struct local_batch *b, const struct pack_row *p)
{
	struct fsck_item i = {.f.pack = p->num};
	char name[STAGING_NAME];
	uint64_t want = p->bytes;
	uint64_t tail = UINT64_MAX;
	struct stat st = {0};
	int missing;
	int r = 0;

	if (p->state == PACK_OPEN)
		r = chunks_end(b->tx, p->num, &want, b->err);
	if (r >= 0 && p->state == PACK_OPEN)
		r = packs_tail_begin(b->tx, p->num, &tail, b->err);
	if (r < 0)
		return r == -EBADMSG ? 0 : r; /* chunk-absurd tells of it */
	if (tail < want) /* the next open puts the rest back */
		want = tail;
	missing = fstatat(b->c->v->packs_fd, staging_name(&p->id, name), &st,
			  AT_SYMLINK_NOFOLLOW) < 0;
	if (!missing && (uint64_t)st.st_size >= want)
		return 0;
	if (missing && errno != ENOENT)
		return pluri_fail(
			b->err, errno, "check: %s: %s", name, strerror(errno));
	i.f.code = missing ? "pack-file-missing" : "pack-file-short";
	(void)snprintf(i.file, sizeof(i.file), "%s", name);
	(void)snprintf(i.f.text, sizeof(i.f.text),
		"a local pack's file %s: %" PRIu64 " bytes instead of %" PRIu64,
		missing ? "is not there" : "is too short", (uint64_t)st.st_size,
		want);
	r = local_mend(b, p, &i);
	if (r == 0)
		fsck_run_add(b->c, &i);
	return r;
}

static int local_row(void *arg, const struct pack_row *p)
{
	struct local_batch *b = arg;

	b->after = p->num;
	b->n++;
	if (p->local)
		b->r = local_look(b, p);
	return b->r < 0 || b->n == LOCAL_BATCH;
}

static int local_rows(
	struct local_batch *b, struct fsck_run *c, struct pluri_err *err)
{
	do {
		int r = meta_begin(c->v->meta, &b->tx, err);

		if (r < 0)
			return r;
		b->n = 0;
		r = packs_list(b->tx, b->after, local_row, b, err);
		r = meta_end(b->tx, r < 0 ? r : b->r, err);
		if (r < 0)
			return r;
		if (fsck_run_stopped(c))
			return pluri_fail(
				err, ECANCELED, "the check was stopped");
	} while (b->n == LOCAL_BATCH);
	return 0;
}

/* --- files without a row ------------------------------------------------- */

static bool local_name(const char *name, struct pluri_id *ret)
{
	char hex[2 * PLURI_ID_BYTES + 1];

	if (strlen(name) != STAGING_NAME - 1 ||
		strcmp(name + 2 * PLURI_ID_BYTES, ".pack") != 0)
		return false;
	memcpy(hex, name, sizeof(hex) - 1);
	hex[sizeof(hex) - 1] = 0;
	return text_unhex(hex, ret->b, sizeof(ret->b)) == 0;
}

/* 1: no row has it, and there it is. */
static int local_unknown(struct fsck_run *c, const struct pluri_id *id,
	const char *name, struct pluri_err *err)
{
	struct pack_row row;
	struct meta_tx *tx = NULL;
	struct stat st;
	int r = meta_begin(c->v->meta, &tx, err);

	if (r < 0)
		return r;
	r = packs_find(tx, id, &row, NULL);
	if (r == -ENOENT && garbage_known(tx, id, NULL) != 0)
		r = 0; /* about to be removed */
	(void)meta_end(tx, 0, NULL);
	if (r != -ENOENT)
		return 0;
	return fstatat(c->v->packs_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int local_set_aside(
	struct fsck_run *c, const char *name, struct pluri_err *err)
{
	char to[sizeof(LOCAL_LOST) + STAGING_NAME];

	(void)snprintf(to, sizeof(to), LOCAL_LOST "/%s", name);
	if ((mkdirat(c->v->packs_fd, LOCAL_LOST, 0700) < 0 &&
		    errno != EEXIST) ||
		renameat(c->v->packs_fd, name, c->v->packs_fd, to) < 0)
		return pluri_fail(
			err, errno, "check: %s: %s", name, strerror(errno));
	return 0;
}

static int local_stray(struct fsck_run *c, const char *name, bool repair,
	struct pluri_err *err)
{
	struct fsck_item i = {.f.code = "pack-file-unknown",
		.f.action = "sets the file aside, in packs/" LOCAL_LOST};
	struct pluri_id id;
	int r = local_name(name, &id) ? 1 : 0;

	for (unsigned looks = 0; r > 0 && looks < LOCAL_LOOKS; looks++) {
		if (looks > 0 && !fsck_run_nap(c, LOCAL_PAUSE_MS))
			return pluri_fail(
				err, ECANCELED, "the check was stopped");
		r = local_unknown(c, &id, name, err);
	}
	if (r <= 0)
		return r;
	if (repair) {
		r = local_set_aside(c, name, err);
		if (r < 0)
			return r;
		i.f.state = FSCK_REPAIRED;
	}
	(void)snprintf(i.file, sizeof(i.file), "%s", name);
	(void)snprintf(i.f.text, sizeof(i.f.text),
		"a local pack file that no row knows");
	fsck_run_add(c, &i);
	return 0;
}

static int local_files(struct fsck_run *c, bool repair, struct pluri_err *err)
{
	const int fd =
		openat(c->v->packs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		r = pluri_fail(
			err, errno, "check: packs/: %s", strerror(errno));
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(d)) != NULL)
		r = local_stray(c, e->d_name, repair, err);
	(void)closedir(d);
	return r;
}

int fsck_local(struct fsck_run *c, bool repair, struct pluri_err *err)
{
	struct local_batch b = {.c = c, .repair = repair, .err = err};
	const int r = local_rows(&b, c, err);

	return r < 0 || c->v->bare ? r : local_files(c, repair, err);
}
