#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "fs/commit.h"
#include "fs/roster.h"
#include "fs/staging_int.h"

#define STAGING_TICK_MS 500u
#define STAGING_EVICT_TICKS 20u
#define STAGING_BEGIN (1u << 20) /* bytes that are worth a write to the disk */

const char *staging_name(const struct pluri_id *id, char to[STAGING_NAME])
{
	(void)text_hex(id->b, sizeof(id->b), to);
	memcpy(to + 2 * PLURI_ID_BYTES, ".pack", sizeof(".pack"));
	return to;
}

static uint64_t staging_key(const struct pluri_id *id)
{
	uint64_t key;

	memcpy(&key, id->b, sizeof(key));
	return key;
}

int staging_file(struct staging *s, const struct pluri_id *pack)
{
	const uint64_t key = staging_key(pack);
	const size_t at = key & (STAGING_USED - 1);
	char name[STAGING_NAME];
	const int fd = openat(s->v->packs_fd, staging_name(pack, name),
		O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	(void)pthread_mutex_lock(&s->used_lock);
	s->used[at].key = key;
	s->used[at].ms = clock_mono_ms(s->v->clock);
	(void)pthread_mutex_unlock(&s->used_lock);
	return fd;
}

uint64_t staging_used(struct staging *s, const struct pluri_id *id)
{
	const uint64_t key = staging_key(id);
	const size_t at = key & (STAGING_USED - 1);
	uint64_t ms;

	(void)pthread_mutex_lock(&s->used_lock);
	ms = s->used[at].key == key ? s->used[at].ms : 0;
	(void)pthread_mutex_unlock(&s->used_lock);
	return ms;
}

uint64_t staging_last(struct staging *s)
{
	return atomic_load(&s->last);
}

static void staging_pack_free(struct staging_pack *p)
{
	if (!p)
		return;
	pack_writer_free(p->writer);
	if (p->ahead_fd >= 0)
		(void)close(p->ahead_fd);
	if (p->fd >= 0)
		(void)close(p->fd);
	free(p);
}

void staging_unlist(struct staging *s, struct staging_pack *p)
{
	struct staging_pack **at = &s->files;

	while (*at != p)
		at = &(*at)->next_file;
	*at = p->next_file;
	staging_pack_free(p);
}

static int staging_add_row(
	struct staging *s, struct staging_pack *p, struct pluri_err *err)
{
	struct meta_tx *tx = NULL;
	int r = meta_begin(s->v->meta, &tx, err);

	if (r < 0)
		return r;
	return meta_end(tx, packs_add(tx, &p->row, err), err);
}

static void staging_draw(struct staging *s, const struct roster_policy *pol,
	struct pluri_id *ret)
{
	struct place_store store[PLURI_STORES_MAX];
	uint32_t num[PLURI_STORES_MAX];
	struct place_rule rule = {0};
	struct spread_table t = {.store = store, .num = num, .rule = &rule};
	void *keep = NULL;

	t.n = roster_table(s->v->roster, pol->num, store, num, &keep, &rule);
	spread_draw(&s->spread, s->v->clock, &t, ret);
	free(keep);
}

static int staging_make(
	struct staging *s, struct staging_pack *p, struct pluri_err *err)
{
	char name[STAGING_NAME];
	int r;

	p->ahead_fd = -1;
	p->fd = openat(s->v->packs_fd, staging_name(&p->row.id, name),
		O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (p->fd >= 0)
		p->ahead_fd = openat(s->v->packs_fd, name,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (p->ahead_fd >= 0)
		return 0;
	r = pluri_fail(err, errno,
		"cannot make the local pack %s in %s/" VOLUME_PACKS ": %s",
		name, s->v->config->state, strerror(errno));
	if (p->fd >= 0) {
		(void)unlinkat(s->v->packs_fd, name, 0);
		(void)close(p->fd);
	}
	return r;
}

/* A new open pack for the slot; with the slot's lock held. */
static int staging_start(struct staging *s, struct staging_slot *slot,
	const struct roster_policy *pol, struct pluri_err *err)
{
	struct staging_pack *p = calloc(1, sizeof(*p));
	char name[STAGING_NAME];
	int r;

	if (!p)
		return pluri_fail(err, ENOMEM, "staging: no memory");
	staging_draw(s, pol, &p->row.id);
	p->row.policy = pol->num;
	p->row.kind = (uint8_t)pol->layout.kind;
	p->row.k = pol->layout.k;
	p->row.m = pol->layout.m;
	p->row.created_ns = clock_real_ns(s->v->clock);
	p->opened_ms = clock_mono_ms(s->v->clock);
	r = staging_make(s, p, err);
	if (r < 0) {
		free(p);
		return r;
	}
	r = pack_create(s->v->keys, &p->row.id, p->fd, &p->writer, err);
	if (r >= 0)
		r = staging_add_row(s, p, err);
	if (r < 0) {
		(void)unlinkat(
			s->v->packs_fd, staging_name(&p->row.id, name), 0);
		staging_pack_free(p);
		return r;
	}
	atomic_store(&p->unsynced, true);
	(void)pthread_mutex_lock(&s->lock);
	if (p->row.num > atomic_load(&s->last))
		atomic_store(&s->last, p->row.num);
	s->dir_unsynced = true;
	p->next_file = s->files;
	s->files = p;
	(void)pthread_mutex_unlock(&s->lock);
	slot->pack = p;
	atomic_store(&s->v->puts, true);
	return 0;
}

void staging_detach(
	struct staging *s, struct staging_slot *slot, uint64_t age_ms)
{
	struct staging_pack *p = slot->pack;
	struct staging_pack **at;

	if (!p || pack_bytes(p->writer) <= PACK_HEAD ||
		clock_mono_ms(s->v->clock) - p->opened_ms < age_ms)
		return;
	slot->pack = NULL;
	(void)pthread_mutex_lock(&s->lock);
	p->ticket = ++s->tickets;
	for (at = &s->closing; *at; at = &(*at)->next_closing)
		;
	*at = p;
	(void)pthread_cond_signal(&s->wake);
	(void)pthread_mutex_unlock(&s->lock);
}

/* A pack that has no chunk and takes none; with the slot's lock held. */
static void staging_abandon(struct staging *s, struct staging_slot *slot)
{
	struct staging_pack *p = pluri_steal(slot->pack);
	struct meta_tx *tx = NULL;
	char name[STAGING_NAME];
	int r = meta_begin(s->v->meta, &tx, NULL);

	if (r >= 0)
		r = meta_end(tx, packs_drop(tx, p->row.num, NULL), NULL);
	if (r >= 0) /* else the next open finds an open pack without chunks */
		(void)unlinkat(
			s->v->packs_fd, staging_name(&p->row.id, name), 0);
	(void)pthread_mutex_lock(&s->lock);
	staging_unlist(s, p);
	(void)pthread_mutex_unlock(&s->lock);
}

static uint64_t staging_size(const struct encoded *e)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < e->frames; i++)
		n += e->frame[i].stored + FRAME_OVERHEAD;
	return n;
}

/*
 * The disk begins early, so that a commit, which holds up whoever records, has
 * little left to wait for. Only begun: what fails is told by the next sync.
 */
static void staging_begin(struct staging_pack *p, uint64_t end)
{
	if (end - p->begun < STAGING_BEGIN)
		return;
	(void)sync_file_range(p->fd, (off_t)p->begun, (off_t)(end - p->begun),
		SYNC_FILE_RANGE_WRITE);
	p->begun = end;
}

/* With the slot's lock held. */
static void staging_due(struct staging_pack *p, bool later)
{
	if (later)
		return;
	atomic_store(&p->due, atomic_load(&p->end));
	atomic_store(&p->unsynced, true);
}

void staging_hurry(struct staging *s, uint64_t bytes)
{
	if (bytes <= STAGING_FEW)
		atomic_store(&s->hurry_ms,
			clock_mono_ms(s->v->clock) + STAGING_HURRY_MS);
}

/*
 * Nobody in a hurry: all in one pack, and one flush a second for all of it.
 * Else a commit is not to wait for what is many, nor its append for theirs.
 * What is few may still be one file of thousands: no flush for each of them.
 */
struct staging_to staging_way(
	struct staging *s, uint32_t policy, uint64_t bytes)
{
	const bool hurry =
		clock_mono_ms(s->v->clock) < atomic_load(&s->hurry_ms);

	return (struct staging_to){.policy = policy,
		.few = hurry && bytes <= STAGING_FEW,
		.later = hurry && bytes > STAGING_FEW};
}

static int staging_append(struct staging *s, struct staging_slot *slot,
	const struct roster_policy *pol, const struct encoded *e,
	struct pack_place *ret, struct pluri_err *err)
{
	uint64_t end;
	int r;

	if (slot->pack && pack_bytes(slot->pack->writer) + staging_size(e) >
				  pol->text.pack)
		staging_detach(s, slot, 0);
	if (!slot->pack) {
		r = staging_start(s, slot, pol, err);
		if (r < 0)
			return r;
	}
	r = pack_append(slot->pack->writer, e, ret, err);
	if (r < 0) {
		/* It takes no more; what it has is closed in order. */
		if (pack_bytes(slot->pack->writer) > PACK_HEAD)
			staging_detach(s, slot, 0);
		else
			staging_abandon(s, slot);
		return r;
	}
	end = pack_bytes(slot->pack->writer);
	atomic_store(&slot->pack->end, end);
	staging_begin(slot->pack, end);
	return 0;
}

int staging_add(struct staging *s, struct staging_to to,
	const struct encoded *e, uint64_t *ret_pack, struct pack_place *ret,
	struct pluri_err *err)
{
	struct staging_slot *slot;
	struct roster_policy pol;
	int r = roster_policy(s->v->roster, to.policy, &pol);

	if (r < 0 || to.policy >= PLURI_POLICIES_MAX)
		return pluri_fail(
			err, EINVAL, "policy %u is not known", to.policy);
	r = commit_broken(s->v->commit, err);
	if (r < 0)
		return r;
	slot = &s->slot[to.policy + (to.few ? PLURI_POLICIES_MAX : 0)];
	(void)pthread_mutex_lock(&slot->lock);
	r = staging_append(s, slot, &pol, e, ret, err);
	if (r >= 0) {
		*ret_pack = slot->pack->row.num;
		staging_due(slot->pack, to.later);
	}
	(void)pthread_mutex_unlock(&slot->lock);
	return r;
}

static void staging_tick(struct staging *s)
{
	struct roster_policy pol;

	for (uint32_t i = 0; i < STAGING_SLOTS; i++) {
		struct staging_slot *slot = &s->slot[i];

		if (roster_policy(s->v->roster, i % PLURI_POLICIES_MAX, &pol) <
			0)
			continue;
		(void)pthread_mutex_lock(&slot->lock);
		staging_detach(s, slot, pol.text.pack_age_ms);
		(void)pthread_mutex_unlock(&slot->lock);
	}
	staging_close_pending(s);
}

static void *staging_main(void *arg)
{
	struct staging *s = arg;
	struct staging_dropped dropped;
	unsigned ticks = 0;

	(void)pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		const uint64_t until =
			clock_mono_ms(clock_system()) + STAGING_TICK_MS;

		(void)clock_wait(&s->wake, &s->lock, until);
		if (s->stop)
			break;
		(void)pthread_mutex_unlock(&s->lock);
		staging_tick(s);
		if (++ticks % STAGING_EVICT_TICKS == 0)
			(void)staging_evict(
				s, s->v->config->cache, &dropped, NULL);
		(void)pthread_mutex_lock(&s->lock);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

int staging_close(struct staging *s, struct pluri_err *err)
{
	uint64_t upto;
	int r = 0;

	for (uint32_t i = 0; i < STAGING_SLOTS; i++) {
		(void)pthread_mutex_lock(&s->slot[i].lock);
		staging_detach(s, &s->slot[i], 0);
		(void)pthread_mutex_unlock(&s->slot[i].lock);
	}
	(void)pthread_mutex_lock(&s->lock);
	upto = s->tickets;
	(void)pthread_mutex_unlock(&s->lock);
	staging_close_pending(s);
	(void)pthread_mutex_lock(&s->lock);
	for (struct staging_pack *p = s->closing; p && r == 0;
		p = p->next_closing)
		if (p->ticket <= upto && p->failed) {
			r = p->err.code ? -p->err.code : -EIO;
			if (err)
				*err = p->err;
		}
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}

int staging_open(struct volume *v, struct staging **ret, struct pluri_err *err)
{
	struct staging *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return pluri_fail(err, ENOMEM, "staging: no memory");
	s->v = v;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_mutex_init(&s->close_lock, NULL);
	clock_cond_init(&s->wake);
	(void)pthread_mutex_init(&s->used_lock, NULL);
	(void)pthread_mutex_init(&s->ahead_lock, NULL);
	for (uint32_t i = 0; i < STAGING_SLOTS; i++)
		(void)pthread_mutex_init(&s->slot[i].lock, NULL);
	r = staging_recover(s, err);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int staging_run(struct staging *s, struct pluri_err *err)
{
	const int r = pthread_create(&s->timer, NULL, staging_main, s);

	if (r)
		return pluri_fail(err, r, "staging: cannot start a thread: %s",
			strerror(r));
	(void)pthread_setname_np(s->timer, "staging");
	return 0;
}

void staging_halt(struct staging *s)
{
	if (!s || !s->timer)
		return;
	(void)pthread_mutex_lock(&s->lock);
	s->stop = true;
	(void)pthread_cond_signal(&s->wake);
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_join(s->timer, NULL);
	s->timer = 0;
}

void staging_free(struct staging *s)
{
	if (!s)
		return;
	staging_halt(s);
	while (s->files)
		staging_unlist(s, s->files);
	(void)pthread_mutex_destroy(&s->ahead_lock);
	for (uint32_t i = 0; i < STAGING_SLOTS; i++)
		(void)pthread_mutex_destroy(&s->slot[i].lock);
	(void)pthread_mutex_destroy(&s->used_lock);
	(void)pthread_cond_destroy(&s->wake);
	(void)pthread_mutex_destroy(&s->close_lock);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}
