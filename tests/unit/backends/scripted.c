#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"

#include "tests/unit/backends/scripted.h"

#define REQUESTS_MAX 64u
#define REQUEST_BYTES_MAX (4u << 20)
#define DRIP_MS 20

struct scripted {
	const struct scripted_step *steps;
	size_t n;
	int listener;
	unsigned port;
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below */
	int conn; /* being served, -1: none */
	int stop;
	unsigned requests, connections;
	struct buf log[REQUESTS_MAX];
};

static size_t body_bytes(const char *head)
{
	const char *p = strcasestr(head, "\r\ncontent-length:");

	return p ? strtoul(p + 17, NULL, 10) : 0;
}

/* A whole request into b: 0, or -1 when the client left first. */
static int take_request(int fd, struct buf *b)
{
	char piece[65536];
	const char *end = NULL;
	ssize_t n;

	for (;;) {
		end = strstr(buf_text(b), "\r\n\r\n");
		if (end) {
			const size_t head = (size_t)(end + 4 - buf_text(b));

			if (b->len >= head + body_bytes(buf_text(b)))
				return 0;
		}
		n = recv(fd, piece, sizeof(piece), 0);
		if (n <= 0 || buf_add(b, piece, (size_t)n) < 0)
			return -1;
	}
}

static int say(int fd, const char *p, size_t len)
{
	while (len > 0) {
		const ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Until the client closes or the server is stopped. */
static void wait_gone(int fd)
{
	char c[4096];

	while (recv(fd, c, sizeof(c), 0) > 0)
		;
}

static void drip(int fd, const char *p, size_t len)
{
	struct pollfd f = {.fd = fd, .events = POLLIN};

	for (size_t i = 0; i < len; i++) {
		if (say(fd, p + i, 1) < 0 || poll(&f, 1, DRIP_MS) != 0)
			return;
	}
	wait_gone(fd);
}

static int reply(int fd, const struct scripted_step *s)
{
	const size_t len = s->len ? s->len : strlen(s->reply);
	char again[4096];

	if (s->then == SCRIPTED_DRIP) {
		drip(fd, s->reply, len);
		return -1;
	}
	if (say(fd, s->reply, len) < 0)
		return -1;
	if (s->repeat)
		memset(again, s->reply[len - 1], sizeof(again));
	for (size_t left = s->repeat; left > 0;) {
		const size_t n = left < sizeof(again) ? left : sizeof(again);

		if (say(fd, again, n) < 0)
			return -1;
		left -= n;
	}
	if (s->then == SCRIPTED_HANG)
		wait_gone(fd);
	if (s->then == SCRIPTED_RESET) {
		const struct linger hard = {.l_onoff = 1};

		(void)setsockopt(
			fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	}
	return s->then == SCRIPTED_KEEP ? 0 : -1;
}

static void serve(struct scripted *s, int fd)
{
	for (;;) {
		const struct scripted_step *step = NULL;
		struct buf b;
		int r;

		buf_init(&b, REQUEST_BYTES_MAX);
		r = take_request(fd, &b);
		pthread_mutex_lock(&s->lock);
		if (r == 0 && s->requests < REQUESTS_MAX) {
			if (s->requests < s->n)
				step = &s->steps[s->requests];
			s->log[s->requests++] = b;
			buf_init(&b, 0);
		}
		pthread_mutex_unlock(&s->lock);
		buf_free(&b);
		if (!step || reply(fd, step) < 0)
			return;
	}
}

static void *run(void *arg)
{
	struct scripted *s = arg;

	for (;;) {
		const int fd = accept(s->listener, NULL, NULL);
		int stop;

		pthread_mutex_lock(&s->lock);
		stop = s->stop || fd < 0;
		s->conn = stop ? -1 : fd;
		s->connections += !stop;
		pthread_mutex_unlock(&s->lock);
		if (!stop)
			serve(s, fd);
		pthread_mutex_lock(&s->lock);
		s->conn = -1;
		pthread_mutex_unlock(&s->lock);
		if (fd >= 0)
			close(fd);
		if (stop)
			return NULL;
	}
}

struct scripted *scripted_new(const struct scripted_step *steps, size_t n)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	struct scripted *s = calloc(1, sizeof(*s));
	socklen_t len = sizeof(a);

	if (!s)
		return NULL;
	*s = (struct scripted){.steps = steps, .n = n, .conn = -1};
	pthread_mutex_init(&s->lock, NULL);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0 ||
		bind(s->listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(s->listener, 8) < 0 ||
		getsockname(s->listener, (struct sockaddr *)&a, &len) < 0 ||
		pthread_create(&s->thread, NULL, run, s) != 0) {
		if (s->listener >= 0)
			close(s->listener);
		free(s);
		return NULL;
	}
	s->port = ntohs(a.sin_port);
	return s;
}

void scripted_free(struct scripted *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = 1;
	if (s->conn >= 0)
		(void)shutdown(s->conn, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	(void)shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	for (unsigned i = 0; i < REQUESTS_MAX; i++)
		buf_free(&s->log[i]);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

unsigned scripted_port(const struct scripted *s)
{
	return s->port;
}

unsigned scripted_requests(struct scripted *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->requests;
	pthread_mutex_unlock(&s->lock);
	return n;
}

unsigned scripted_connections(struct scripted *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->connections;
	pthread_mutex_unlock(&s->lock);
	return n;
}

const char *scripted_request(struct scripted *s, unsigned i)
{
	const char *text = "";

	pthread_mutex_lock(&s->lock);
	if (i < s->requests)
		text = buf_text(&s->log[i]);
	pthread_mutex_unlock(&s->lock);
	return text;
}
