#include <errno.h>

#include "fs/seek.h"
#include "meta/extent.h"

#define SEEK_ROWS EXTENT_STEP /* looked at in one bracket */

/* What is known of a file from some byte on. */
struct seek {
	uint64_t size;
	uint64_t data; /* where the next written byte is; size: nowhere */
	uint64_t upto; /* and where the run ends that begins there */
};

static void seek_piece(
	const struct dirty *d, uint64_t off, uint64_t end, struct seek *s)
{
	const uint8_t *bytes = NULL;
	uint64_t at = 0;
	size_t len = 0;

	if (off >= end || !dirty_next(d, off, end - off, &at, &len, &bytes))
		return;
	if (at < s->data) {
		s->data = at;
		s->upto = at + len;
	}
}

static int seek_rows(struct volume *v, uint64_t ino, uint64_t off, uint64_t end,
	struct seek *s, struct pluri_err *err)
{
	struct extent e[SEEK_ROWS];
	struct meta_tx *tx = NULL;
	unsigned n = 0;
	int r = meta_begin(v->meta, &tx, err);

	if (r < 0)
		return r;
	r = extent_list(tx, ino, (struct extent_span){off, end - off}, e,
		SEEK_ROWS, &n, err);
	r = meta_end(tx, r, err);
	if (r < 0 || n == 0 || (e[0].off > off ? e[0].off : off) >= s->data)
		return r;
	s->data = e[0].off > off ? e[0].off : off;
	s->upto = e[0].off + e[0].len;
	for (unsigned i = 1; i < n && e[i].off == s->upto; i++)
		s->upto += e[i].len;
	return 0;
}

/* The first run of written bytes from off on, or a part of it. */
static int seek_look(struct volume *v, struct node *n, uint64_t off,
	struct seek *ret, struct pluri_err *err)
{
	int r;

	(void)pthread_mutex_lock(&n->lock);
	r = node_know(v, n, err);
	if (r >= 0) {
		ret->size = n->size;
		ret->data = n->size;
		ret->upto = n->size;
		seek_piece(&n->dirty, off, n->size, ret);
		seek_piece(&n->flight, off, n->size, ret);
		if (off < n->size && ret->data > off)
			r = seek_rows(v, n->ino, off, n->size, ret, err);
	}
	(void)pthread_mutex_unlock(&n->lock);
	return r;
}

int seek_next(struct volume *v, struct node *n, bool hole, uint64_t off,
	uint64_t *ret, struct pluri_err *err)
{
	struct seek s = {0};
	uint64_t at = off;
	int r = seek_look(v, n, at, &s, err);

	if (r < 0)
		return r;
	if (off >= s.size || (!hole && s.data >= s.size))
		return -ENXIO;
	/* Each look tells of one run; the next may adjoin it. */
	while (r >= 0 && hole && s.data == at && at < s.size) {
		at = s.upto;
		r = seek_look(v, n, at, &s, err);
	}
	if (r < 0)
		return r;
	if (hole && at > s.size) /* cut short meanwhile */
		at = s.size;
	*ret = hole ? at : s.data;
	return 0;
}
