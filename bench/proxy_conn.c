#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/proxy_conn.h"

static void conn_watch(struct conn_world *w, struct conn_end *e)
{
	struct epoll_event want = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = e,
	};
	const int yes = 1;

	if (setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) < 0)
		err(1, "TCP_NODELAY");
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, e->fd, &want) < 0)
		err(1, "epoll");
}

static int conn_dial(const struct conn_world *w)
{
	const int fd =
		socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	if (connect(fd, (const struct sockaddr *)&w->server,
		    sizeof(w->server)) < 0 &&
		errno != EINPROGRESS)
		err(1, "connecting to the server");
	return fd;
}

struct conn *conn_new(struct conn_world *w, int fd, uint64_t now_ns)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		err(1, "a connection");
	c->client.conn = c->server.conn = c;
	c->client.fd = fd;
	c->server.fd = -1;
	c->up.link = &w->up;
	c->down.link = &w->down;
	/* A handshake over the link takes its way there and back. */
	c->up.floor_ns = now_ns + 2 * w->down.delay_ns + w->up.delay_ns;
	c->doomed = w->swallow;
	conn_watch(w, &c->client);
	if (!c->doomed) {
		c->server.fd = conn_dial(w);
		conn_watch(w, &c->server);
	}
	return c;
}

static void conn_answered(struct conn_world *w, struct conn *c)
{
	if (c->waits)
		w->in_flight--;
	c->waits = false;
}

void conn_free(struct conn_world *w, struct conn *c)
{
	conn_answered(w, c);
	flow_clear(&c->up);
	flow_clear(&c->down);
	close(c->client.fd);
	if (c->server.fd >= 0)
		close(c->server.fd);
	free(c);
}

static bool conn_chance(struct conn_world *w)
{
	w->chance ^= w->chance << 13;
	w->chance ^= w->chance >> 7;
	w->chance ^= w->chance << 17;
	return w->chance / 7 % 100 < w->slow_percent;
}

static void conn_asks(struct conn_world *w, struct conn *c, const uint8_t *p,
	size_t n, uint64_t now_ns)
{
	const int seen = http_feed(&c->http, p, n, w->requests);

	if (seen < 0)
		w->lost++;
	if (seen <= 0)
		return;
	if (!c->waits)
		w->in_flight++;
	if (w->in_flight > w->most_in_flight)
		w->most_in_flight = w->in_flight;
	c->waits = true;
	c->asked_ns = now_ns;
	c->slow = w->slow_percent > 0 && conn_chance(w);
}

/* The first bytes of an answer: a slow one takes a multiple of its time. */
static void conn_answers(struct conn_world *w, struct conn *c, uint64_t now_ns)
{
	const uint64_t due = now_ns + w->down.delay_ns;

	if (!c->waits)
		return;
	conn_answered(w, c);
	if (!c->slow)
		return;
	w->slowed++;
	flow_hold(&c->down, c->asked_ns + (due - c->asked_ns) * w->slow_factor);
}

/* Reads one piece; the time of the next, or *ret_over. */
static uint64_t conn_take(struct conn_world *w, struct conn_end *from,
	struct flow *f, uint64_t now_ns, bool *ret_over)
{
	struct conn *c = from->conn;
	const uint64_t room = flow_room(f, now_ns);
	const uint8_t *data = NULL;
	size_t len = 0;
	enum flow_got got = FLOW_NONE;

	if (!from->readable || room)
		return from->readable ? room : FLOW_NEVER;
	got = flow_read(f, from->fd, now_ns, &data, &len);
	*ret_over |= got == FLOW_BROKEN;
	if (got != FLOW_SOME) {
		from->readable = false;
		return FLOW_NEVER;
	}
	if (len > 0 && f == &c->up)
		conn_asks(w, c, data, len, now_ns);
	if (len > 0 && f == &c->down)
		conn_answers(w, c, now_ns);
	return now_ns;
}

static uint64_t conn_give(
	struct conn_end *to, struct flow *f, uint64_t now_ns, bool *ret_over)
{
	enum flow_got got = FLOW_NONE;

	if (!to->writable)
		return FLOW_NEVER;
	got = flow_write(f, to->fd, now_ns);
	*ret_over |= got == FLOW_BROKEN;
	if (got == FLOW_NONE)
		to->writable = false;
	return got == FLOW_LATER ? flow_next(f) : FLOW_NEVER;
}

/* The client's bytes vanish, and it hears nothing. */
static uint64_t conn_swallow(
	struct conn_world *w, struct conn *c, bool *ret_over)
{
	uint8_t waste[FLOW_PIECE];
	ssize_t n = 1;

	c->doomed = true;
	conn_answered(w, c);
	flow_clear(&c->up);
	flow_clear(&c->down);
	while (c->client.readable && n > 0) {
		n = recv(c->client.fd, waste, sizeof(waste), MSG_DONTWAIT);
		if (n > 0)
			w->swallowed += (uint64_t)n;
	}
	*ret_over = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
	c->client.readable = n < 0 && errno == EINTR;
	return FLOW_NEVER;
}

static uint64_t conn_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t conn_pump(
	struct conn_world *w, struct conn *c, uint64_t now_ns, bool *ret_over)
{
	uint64_t next = FLOW_NEVER;

	*ret_over = false;
	if (w->swallow)
		return conn_swallow(w, c, ret_over);
	if (c->doomed || c->client.failed || c->server.failed) {
		*ret_over = true;
		return FLOW_NEVER;
	}
	next = conn_take(w, &c->client, &c->up, now_ns, ret_over);
	next = conn_min(
		next, conn_take(w, &c->server, &c->down, now_ns, ret_over));
	next = conn_min(next, conn_give(&c->server, &c->up, now_ns, ret_over));
	next = conn_min(
		next, conn_give(&c->client, &c->down, now_ns, ret_over));
	*ret_over |= c->up.shut && c->down.shut;
	return next;
}
