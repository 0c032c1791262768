#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/proxy_flow.h"

#define FLOW_SECOND UINT64_C(1000000000)

struct flow_piece {
	struct flow_piece *next;
	uint64_t due_ns;
	size_t len, done;
	uint8_t data[];
};

uint64_t flow_room(const struct flow *f, uint64_t now_ns)
{
	const struct flow_link *l = f->link;

	if (f->ended || f->held >= FLOW_HELD_MAX)
		return FLOW_NEVER;
	if (l->held >= FLOW_LINK_MAX) /* others make that room */
		return now_ns + FLOW_AHEAD_NS;
	if (l->rate && l->free_ns > now_ns + FLOW_AHEAD_NS)
		return l->free_ns - FLOW_AHEAD_NS;
	return 0;
}

static void flow_append(struct flow *f, struct flow_piece *p, uint64_t now_ns)
{
	struct flow_link *l = f->link;

	if (l->free_ns < now_ns)
		l->free_ns = now_ns;
	if (l->rate)
		l->free_ns += p->len * FLOW_SECOND / l->rate;
	p->due_ns = l->free_ns + l->delay_ns;
	if (p->due_ns < f->floor_ns)
		p->due_ns = f->floor_ns;
	if (f->last)
		f->last->next = p;
	else
		f->first = p;
	f->last = p;
	f->held += sizeof(*p) + p->len;
	l->held += sizeof(*p) + p->len;
}

enum flow_got flow_read(struct flow *f, int fd, uint64_t now_ns,
	const uint8_t **ret_data, size_t *ret_len)
{
	struct flow_piece *p = malloc(sizeof(*p) + FLOW_PIECE);
	ssize_t n = 0;

	*ret_len = 0;
	if (!p)
		err(1, "a piece");
	do
		n = recv(fd, p->data, FLOW_PIECE, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		const bool empty = errno == EAGAIN;

		free(p);
		return empty ? FLOW_NONE : FLOW_BROKEN;
	}
	/* a short answer does not take a long one's memory while it travels */
	p = realloc(p, sizeof(*p) + (size_t)n);
	if (!p)
		err(1, "a piece");
	p->next = NULL;
	p->len = (size_t)n;
	p->done = 0;
	f->ended = n == 0;
	flow_append(f, p, now_ns);
	*ret_data = p->data;
	*ret_len = p->len;
	return FLOW_SOME;
}

void flow_hold(struct flow *f, uint64_t floor_ns)
{
	if (f->floor_ns < floor_ns)
		f->floor_ns = floor_ns;
	if (f->last && f->last->due_ns < floor_ns)
		f->last->due_ns = floor_ns;
}

static void flow_drop(struct flow *f)
{
	struct flow_piece *p = f->first;

	f->held -= sizeof(*p) + p->len;
	f->link->held -= sizeof(*p) + p->len;
	f->first = p->next;
	if (!f->first)
		f->last = NULL;
	free(p);
}

enum flow_got flow_write(struct flow *f, int fd, uint64_t now_ns)
{
	while (f->first && f->first->due_ns <= now_ns) {
		struct flow_piece *p = f->first;
		ssize_t n = 0;

		if (p->len == 0) {
			shutdown(fd, SHUT_WR);
			f->shut = true;
			flow_drop(f);
			continue;
		}
		n = send(fd, p->data + p->done, p->len - p->done,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? FLOW_NONE : FLOW_BROKEN;
		p->done += (size_t)n;
		f->link->passed += (uint64_t)n;
		if (p->done == p->len)
			flow_drop(f);
	}
	return FLOW_LATER;
}

uint64_t flow_next(const struct flow *f)
{
	return f->first ? f->first->due_ns : FLOW_NEVER;
}

void flow_clear(struct flow *f)
{
	while (f->first)
		flow_drop(f);
}
