#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "chunker/digest.h"
#include "chunker/pack_index.h"

/*
 * open --append--> open --append fails--> failed
 * open, failed --close--> closed; a close that fails may be repeated, since it
 * would write the same bytes.
 */
struct pack_writer {
	const struct keys *keys;
	struct pluri_id id;
	int fd;
	bool failed; /* takes no more appends */
	bool closed; /* seal is the answer */
	uint64_t end; /* after the last recorded chunk */
	struct sealer *sealer;
	struct digest_run *sum; /* over [0, end) */
	struct pack_entry *entry;
	uint32_t count, cap;
	uint8_t *buf; /* one sealed chunk on its way to the file */
	size_t buf_cap;
	struct pack_seal seal;
};

#define PACK_TEXT (2 * PLURI_ID_BYTES + 1)

static const char *pack_text(const struct pluri_id *id, char to[PACK_TEXT])
{
	return text_hex(id->b, PLURI_ID_BYTES, to);
}

/* A failure's story with the pack's name in front. */
static int pack_told(const struct pluri_id *id, int r, struct pluri_err *err)
{
	char hex[PACK_TEXT];

	if (r < 0)
		(void)pluri_where(err, "pack %s", pack_text(id, hex));
	return r;
}

/* All of it, or -errno: a short write goes on, so that the errno is true. */
static int pack_write(int fd, const uint8_t *p, size_t len, uint64_t off,
	struct pluri_err *err)
{
	while (len > 0) {
		const ssize_t n = pwrite(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			const int code = n < 0 ? errno : EIO;

			return pluri_fail(err, code,
				"cannot write %zu bytes at %llu: %s", len,
				(unsigned long long)off, strerror(code));
		}
		p += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

static int pack_read(
	int fd, uint8_t *p, size_t len, uint64_t off, struct pluri_err *err)
{
	while (len > 0) {
		const ssize_t n = pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pluri_fail(err, errno,
				"cannot read %zu bytes at %llu: %s", len,
				(unsigned long long)off, strerror(errno));
		if (n == 0)
			return pluri_fail(err, EBADMSG,
				"the file ends at %llu, before its last "
				"recorded chunk",
				(unsigned long long)off);
		p += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

static int pack_writer_new(const struct keys *keys, const struct pluri_id *id,
	int fd, struct pack_writer **ret, struct pluri_err *err)
{
	pluri_auto(pack_writer) w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return pluri_fail(err, ENOMEM, "out of memory");
	w->keys = keys;
	w->id = *id;
	w->fd = fd;
	w->sum = digest_run_new();
	if (!w->sum)
		return pluri_fail(err, ENOMEM, "out of memory");
	r = sealer_new(keys, id, &w->sealer, err);
	if (r < 0)
		return r;
	*ret = pluri_steal(w);
	return 0;
}

void pack_writer_free(struct pack_writer *w)
{
	if (!w)
		return;
	sealer_free(w->sealer);
	digest_run_free(w->sum);
	free(w->entry);
	free(w->buf);
	free(w);
}

/* These bytes stand at the end of the file and belong to the pack now. */
static void pack_advance(struct pack_writer *w, const uint8_t *p, size_t len)
{
	digest_run_add(w->sum, (struct pluri_span){p, len});
	w->end += len;
}

int pack_create(const struct keys *keys, const struct pluri_id *id, int fd,
	struct pack_writer **ret, struct pluri_err *err)
{
	pluri_auto(pack_writer) w = NULL;
	uint8_t head[PACK_HEAD];
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return pack_told(id,
			pluri_fail(err, errno, "cannot ask for its size: %s",
				strerror(errno)),
			err);
	if (st.st_size != 0)
		return pack_told(id,
			pluri_fail(err, EEXIST,
				"the file is not empty; a pack is never "
				"written twice"),
			err);
	r = pack_writer_new(keys, id, fd, &w, err);
	if (r < 0)
		return pack_told(id, r, err);
	pack_head_encode(keys_volume(keys), id, head);
	r = pack_write(fd, head, sizeof(head), 0, err);
	if (r < 0)
		return pack_told(id, r, err);
	pack_advance(w, head, sizeof(head));
	*ret = pluri_steal(w);
	return 0;
}

uint64_t pack_bytes(const struct pack_writer *w)
{
	return w->end;
}

/* Room for one more entry. */
static int pack_entry_room(struct pack_writer *w)
{
	const uint32_t cap = w->cap ? 2 * w->cap : 64;
	struct pack_entry *p;

	if (w->count < w->cap)
		return 0;
	p = realloc(w->entry, cap * sizeof(*p));
	if (!p)
		return -ENOMEM;
	w->entry = p;
	w->cap = cap;
	return 0;
}

/* Room for a chunk's sealed bytes, kept for the next chunk. */
static int pack_buf_room(struct pack_writer *w, size_t len)
{
	if (len <= w->buf_cap)
		return 0;
	free(w->buf);
	w->buf_cap = 0;
	w->buf = malloc(len);
	if (!w->buf)
		return -ENOMEM;
	w->buf_cap = len;
	return 0;
}

static void pack_record(struct pack_writer *w, const struct pack_entry *e)
{
	w->entry[w->count++] = *e;
}

/* Seal every frame into w->buf. */
static int pack_seal_frames(struct pack_writer *w, const struct encoded *e,
	const struct pack_place *at)
{
	struct frame_id id = {e->id, e->plain, 0, e->frames};
	size_t done = 0;

	for (; id.index < e->frames; id.index++) {
		const int r =
			frame_seal(w->sealer, w->keys, &w->id, at->off + done,
				&id, &e->frame[id.index], w->buf + done);

		if (r < 0)
			return r;
		done += at->frame[id.index];
	}
	return 0;
}

static int pack_try_append(struct pack_writer *w, const struct encoded *e,
	struct pack_place *at, struct pluri_err *err)
{
	int r;

	if (w->failed || w->closed)
		return pluri_fail(err, EIO,
			"it takes no more chunks: %s; start another pack",
			w->closed ? "it is closed" : "an append failed");
	at->off = w->end;
	at->bytes = 0;
	for (uint32_t i = 0; i < e->frames; i++) {
		at->frame[i] = e->frame[i].stored + FRAME_OVERHEAD;
		at->bytes += at->frame[i];
	}
	if (w->count == PACK_CHUNKS_MAX ||
		w->end + at->bytes + pack_index_bytes(w->count + 1) >
			PLURI_PACK_MAX)
		return pluri_fail(err, ENOSPC, "it is full");
	if (pack_entry_room(w) < 0 || pack_buf_room(w, at->bytes) < 0)
		return pluri_fail(err, ENOMEM, "out of memory");
	r = pack_seal_frames(w, e, at);
	if (r < 0)
		return pluri_fail(err, -r, "libcrypto failed to seal a chunk");
	return pack_write(w->fd, w->buf, at->bytes, at->off, err);
}

int pack_append(struct pack_writer *w, const struct encoded *e,
	struct pack_place *ret, struct pluri_err *err)
{
	struct pack_place at = {0};
	struct pack_entry entry;
	int r;

	r = pack_try_append(w, e, &at, err);
	if (r < 0) {
		w->failed = true;
		return pack_told(&w->id, r, err);
	}
	entry = (struct pack_entry){
		e->id, at.off, at.bytes, e->plain, e->frames};
	pack_record(w, &entry);
	pack_advance(w, w->buf, at.bytes);
	*ret = at;
	return 0;
}

int pack_close(
	struct pack_writer *w, struct pack_seal *ret, struct pluri_err *err)
{
	const size_t len = pack_index_bytes(w->count);
	pluri_auto_mem uint8_t *tail = malloc(len);
	int r;

	if (w->closed) {
		*ret = w->seal;
		return 0;
	}
	if (!tail)
		return pack_told(
			&w->id, pluri_fail(err, ENOMEM, "out of memory"), err);
	r = pack_index_seal(w->sealer, keys_volume(w->keys), &w->id, w->entry,
		w->count, w->end, tail);
	if (r < 0)
		return pack_told(&w->id,
			pluri_fail(
				err, -r, "libcrypto failed to seal the index"),
			err);
	/* What a failed append or close left behind goes first. */
	if (ftruncate(w->fd, (off_t)w->end) < 0)
		return pack_told(&w->id,
			pluri_fail(err, errno,
				"cannot cut the file at %llu: %s",
				(unsigned long long)w->end, strerror(errno)),
			err);
	r = pack_write(w->fd, tail, len, w->end, err);
	if (r < 0)
		return pack_told(&w->id, r, err);
	pack_advance(w, tail, len);
	w->closed = true;
	w->seal = (struct pack_seal){w->end, digest_run_sum(w->sum)};
	*ret = w->seal;
	return 0;
}

/* Walking a crashed pack: the writer it makes, and the chunk it is in. */
struct pack_walk {
	struct pack_writer *w;
	uint64_t end;
	struct pack_entry entry; /* frames: seen so far */
	uint8_t sealed[FRAME_STORED_MAX];
	uint8_t plain[FRAME_PLAIN];
};

/* Does this frame go on where the walk is? */
static bool pack_walk_fits(
	const struct pack_walk *k, const struct frame_head *h)
{
	const struct pack_entry *e = &k->entry;

	if (h->id.index != e->frames)
		return false;
	return e->frames == 0 ||
	       (h->id.chunk_bytes == e->plain &&
		       memcmp(h->id.chunk.b, e->id.b, PLURI_DIGEST_BYTES) == 0);
}

static int pack_walk_record(
	struct pack_walk *k, const struct frame_head *h, uint32_t bytes)
{
	struct pack_entry *e = &k->entry;

	if (e->frames == 0)
		*e = (struct pack_entry){
			h->id.chunk, k->w->end, 0, h->id.chunk_bytes, 0};
	e->bytes += bytes;
	e->frames++;
	pack_advance(k->w, k->sealed, bytes);
	if (e->frames < h->id.count)
		return 0;
	if (k->w->count == PACK_CHUNKS_MAX || pack_entry_room(k->w) < 0)
		return -ENOMEM;
	pack_record(k->w, e);
	e->frames = 0;
	return 0;
}

static int pack_walk_frame(struct pack_walk *k, struct pluri_err *err)
{
	const uint64_t left = k->end - k->w->end;
	const size_t len =
		left < FRAME_STORED_MAX ? (size_t)left : FRAME_STORED_MAX;
	const struct frame_at at = {k->w->keys, k->w->id, k->w->end};
	const struct pluri_span bytes = {k->sealed, len};
	struct pluri_room room = {k->plain, sizeof(k->plain), 0};
	struct frame_head h;
	int r;

	r = pack_read(k->w->fd, k->sealed, len, k->w->end, err);
	if (r == 0)
		r = frame_peek(&at, bytes, &h, err);
	if (r == 0)
		r = frame_open(&at, bytes, &h.id, &room, err);
	if (r < 0)
		return r;
	if (!pack_walk_fits(k, &h))
		return pluri_fail(err, EBADMSG,
			"frame at %llu: out of turn within its chunk",
			(unsigned long long)at.off);
	if (pack_walk_record(k, &h, h.stored + FRAME_OVERHEAD) < 0)
		return pluri_fail(err, ENOMEM, "out of memory");
	return 0;
}

/* The file's header, written anew where a crash came before it. */
static int pack_walk_head(
	struct pack_walk *k, const struct pluri_id *id, struct pluri_err *err)
{
	struct pack_writer *w = k->w;
	uint8_t head[PACK_HEAD];
	struct stat st;
	int r;

	if (fstat(w->fd, &st) < 0)
		return pluri_fail(err, errno, "cannot ask for its size: %s",
			strerror(errno));
	if (st.st_size < PACK_HEAD && k->end == PACK_HEAD) {
		pack_head_encode(keys_volume(w->keys), id, head);
		r = pack_write(w->fd, head, sizeof(head), 0, err);
	} else {
		r = pack_read(w->fd, head, sizeof(head), 0, err);
		if (r == 0)
			r = pack_head_check(
				head, keys_volume(w->keys), id, err);
	}
	if (r == 0)
		pack_advance(w, head, sizeof(head));
	return r;
}

static int pack_walk_all(
	struct pack_walk *k, const struct pluri_id *id, struct pluri_err *err)
{
	int r;

	r = pack_walk_head(k, id, err);
	while (r == 0 && k->w->end < k->end)
		r = pack_walk_frame(k, err);
	if (r == 0 && k->entry.frames)
		return pluri_fail(
			err, EBADMSG, "its last recorded chunk lacks frames");
	return r;
}

int pack_replay(const struct keys *keys, const struct pluri_id *id, int fd,
	uint64_t end, struct pack_seal *ret, struct pluri_err *err)
{
	pluri_auto(pack_writer) w = NULL;
	pluri_auto_mem struct pack_walk *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return pack_told(
			id, pluri_fail(err, ENOMEM, "out of memory"), err);
	if (end < PACK_HEAD || end > PLURI_PACK_MAX)
		return pack_told(id,
			pluri_fail(err, EINVAL,
				"its last chunk cannot end at %llu",
				(unsigned long long)end),
			err);
	r = pack_writer_new(keys, id, fd, &w, err);
	if (r == 0) {
		k->w = w;
		k->end = end;
		r = pack_walk_all(k, id, err);
	}
	if (r < 0)
		return pack_told(id, r, err);
	return pack_close(w, ret, err);
}

static int pack_verify_read(
	void *arg, uint64_t off, void *to, size_t len, struct pluri_err *err)
{
	return pack_read(*(const int *)arg, to, len, off, err);
}

int pack_verify(const struct keys *keys, const struct pluri_id *id, int fd,
	uint64_t bytes, struct pluri_err *err)
{
	const struct pack_source src = {pack_verify_read, &fd, bytes};
	pluri_auto(pack_writer) w = NULL;
	pluri_auto_mem struct pack_walk *k = calloc(1, sizeof(*k));
	pluri_auto_mem struct pack_entry *entry = NULL;
	uint32_t n = 0;
	int r;

	if (!k)
		return pack_told(
			id, pluri_fail(err, ENOMEM, "out of memory"), err);
	r = pack_index(keys, id, &src, &entry, &n, err);
	if (r < 0)
		return r;
	if (n == 0)
		return pack_told(
			id, pluri_fail(err, EBADMSG, "it has no chunk"), err);
	r = pack_writer_new(keys, id, fd, &w, err);
	if (r == 0) {
		k->w = w;
		k->end = entry[n - 1].off + entry[n - 1].bytes;
		r = pack_walk_all(k, id, err);
	}
	return r < 0 ? pack_told(id, r, err) : 0;
}
