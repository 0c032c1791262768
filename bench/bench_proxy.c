/*
 * bench/bench_proxy.c - a cloud's distance, between a client and a server of
 * this machine.
 *
 *   bench_proxy --listen PORT --to ADDRESS:PORT --counters FILE
 *               [--delay MS]            each way, without costing throughput
 *               [--rate BYTES]          a second, each way, for all connections
 *               [--slow PERCENT FACTOR] so many answers take FACTOR times their
 *                                       time
 *               [--seed N]              which ones
 *
 * Listens on 127.0.0.1 alone; prints a line when it does. SIGUSR1 makes it a
 * black hole, which accepts and swallows, and the next one ends that, together
 * with all connections it had until then. SIGUSR2 writes its counters into
 * FILE, one line of JSON, by rename; `reports` in it counts them, and what was
 * the most is so since the report before. SIGTERM ends it, counters written.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/proxy_conn.h"

#define PROXY_EVENTS 256
#define PROXY_DELAY_MS 10000u
#define PROXY_FACTOR 1000u
#define PROXY_RATE_MAX (UINT64_C(1) << 40)

struct proxy {
	struct conn_world world;
	struct conn *conns;
	int listener, signals;
	uint16_t port;
	const char *counters;
	uint64_t accepted, open, most_open, reports;
	bool over;
};

static uint64_t proxy_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- options ------------------------------------------------------------- */

static uint64_t proxy_number(const char *s, uint64_t max, const char *what)
{
	char *end = NULL;
	unsigned long long n = 0;

	errno = 0;
	n = strtoull(s, &end, 10);
	if (*s < '0' || *s > '9' || *end || errno || n > max)
		errx(2, "%s: %s is no number up to %llu", what, s,
			(unsigned long long)max);
	return n;
}

static void proxy_server(struct proxy *p, char *to)
{
	char *colon = strrchr(to, ':');
	struct sockaddr_in *at = &p->world.server;
	uint64_t port = 0;

	if (!colon)
		errx(2, "--to: %s is not ADDRESS:PORT", to);
	*colon = '\0';
	port = proxy_number(colon + 1, UINT16_MAX, "--to");
	at->sin_family = AF_INET;
	at->sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, to, &at->sin_addr) != 1)
		errx(2, "--to: %s is no address in digits", to);
}

/* Its arguments: how many of them were taken. */
static int proxy_option(
	struct proxy *p, const char *name, char **value, int left)
{
	struct conn_world *w = &p->world;
	const bool slow = strcmp(name, "--slow") == 0;

	if (left < (slow ? 2 : 1))
		errx(2, "%s: its value is not there", name);
	if (slow) {
		w->slow_percent =
			(unsigned int)proxy_number(value[0], 100, name);
		w->slow_factor = (unsigned int)proxy_number(
			value[1], PROXY_FACTOR, name);
		if (w->slow_factor == 0)
			errx(2, "--slow: a factor is above 0");
		return 2;
	}
	if (strcmp(name, "--listen") == 0)
		p->port = (uint16_t)proxy_number(value[0], UINT16_MAX, name);
	else if (strcmp(name, "--to") == 0)
		proxy_server(p, value[0]);
	else if (strcmp(name, "--counters") == 0)
		p->counters = value[0];
	else if (strcmp(name, "--delay") == 0)
		w->up.delay_ns = w->down.delay_ns =
			proxy_number(value[0], PROXY_DELAY_MS, name) * 1000000;
	else if (strcmp(name, "--rate") == 0)
		w->up.rate = w->down.rate =
			proxy_number(value[0], PROXY_RATE_MAX, name);
	else if (strcmp(name, "--seed") == 0)
		w->chance = proxy_number(value[0], UINT32_MAX, name) + 1;
	else
		errx(2, "%s: no such option", name);
	return 1;
}

/* --- counters ------------------------------------------------------------ */

static void proxy_tell(struct proxy *p, FILE *f)
{
	const struct conn_world *w = &p->world;

	fprintf(f, "{\"reports\": %llu", (unsigned long long)++p->reports);
	for (int i = 0; i < HTTP_KINDS; i++)
		fprintf(f, ", \"%s\": %llu", http_name((enum http_kind)i),
			(unsigned long long)w->requests[i]);
	fprintf(f, ", \"lost\": %llu, \"up_bytes\": %llu, \"down_bytes\": %llu",
		(unsigned long long)w->lost, (unsigned long long)w->up.passed,
		(unsigned long long)w->down.passed);
	fprintf(f, ", \"connections\": %llu, \"most_open\": %llu",
		(unsigned long long)p->accepted,
		(unsigned long long)p->most_open);
	fprintf(f, ", \"most_in_flight\": %llu, \"slowed\": %llu",
		(unsigned long long)w->most_in_flight,
		(unsigned long long)w->slowed);
	fprintf(f, ", \"swallowed_bytes\": %llu}\n",
		(unsigned long long)w->swallowed);
	p->most_open = p->open;
	p->world.most_in_flight = w->in_flight;
}

static void proxy_report(struct proxy *p)
{
	char part[4096];
	FILE *f = NULL;

	if (snprintf(part, sizeof(part), "%s.part", p->counters) >=
		(int)sizeof(part))
		errx(1, "%s: too long a name", p->counters);
	f = fopen(part, "we");
	if (!f)
		err(1, "%s", part);
	proxy_tell(p, f);
	if (fclose(f) != 0 || rename(part, p->counters) < 0)
		err(1, "%s", p->counters);
}

/* --- the loop ------------------------------------------------------------ */

static void proxy_watch(struct proxy *p, int *fd)
{
	struct epoll_event want = {.events = EPOLLIN, .data.ptr = fd};

	if (epoll_ctl(p->world.epoll, EPOLL_CTL_ADD, *fd, &want) < 0)
		err(1, "epoll");
}

static void proxy_open(struct proxy *p)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(p->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct rlimit files;
	const int yes = 1;
	sigset_t set;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		err(1, "limits");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		err(1, "limits");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	p->world.epoll = epoll_create1(EPOLL_CLOEXEC);
	p->listener =
		socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->signals < 0 || p->world.epoll < 0 || p->listener < 0)
		err(1, "opening");
	setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(p->listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
		listen(p->listener, 1024) < 0)
		err(1, "port %u", p->port);
	proxy_watch(p, &p->listener);
	proxy_watch(p, &p->signals);
}

static void proxy_accept(struct proxy *p, uint64_t now_ns)
{
	int fd = -1;

	while ((fd = accept4(p->listener, NULL, NULL,
			SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = conn_new(&p->world, fd, now_ns);

		c->next = p->conns;
		p->conns = c;
		p->accepted++;
		if (++p->open > p->most_open)
			p->most_open = p->open;
	}
	if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		err(1, "accept");
}

static void proxy_signal(struct proxy *p)
{
	struct signalfd_siginfo s;

	while (read(p->signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo == SIGUSR1)
			p->world.swallow = !p->world.swallow;
		else if (s.ssi_signo == SIGUSR2)
			proxy_report(p);
		else
			p->over = true;
	}
}

/* Waits until something happens, at most until then. */
static void proxy_wait(struct proxy *p, uint64_t until_ns)
{
	struct epoll_event got[PROXY_EVENTS];
	const uint64_t now = proxy_now();
	const uint64_t ns = until_ns > now ? until_ns - now : 0;
	const struct timespec t = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};
	const int n = epoll_pwait2(p->world.epoll, got, PROXY_EVENTS,
		until_ns == FLOW_NEVER ? NULL : &t, NULL);

	if (n < 0 && errno != EINTR)
		err(1, "waiting");
	for (int i = 0; i < n; i++) {
		struct conn_end *e = got[i].data.ptr;

		if (got[i].data.ptr == &p->listener) {
			proxy_accept(p, proxy_now());
		} else if (got[i].data.ptr == &p->signals) {
			proxy_signal(p);
		} else {
			e->failed |= (got[i].events & EPOLLERR) != 0;
			e->readable |= (got[i].events & (EPOLLIN | EPOLLRDHUP |
								EPOLLHUP)) != 0;
			e->writable |= (got[i].events & EPOLLOUT) != 0;
		}
	}
}

/* All connections once, in turn. Those that had something of a link go behind
 * all others, so that a short question does not wait for long bodies. */
static uint64_t proxy_pump(struct proxy *p)
{
	const struct conn_world *w = &p->world;
	struct conn **at = &p->conns;
	struct conn *served = NULL;
	struct conn **last = &served;
	uint64_t next = FLOW_NEVER;

	while (*at) {
		const uint64_t up = w->up.free_ns;
		const uint64_t down = w->down.free_ns;
		struct conn *c = *at;
		bool over = false;
		const uint64_t wants =
			conn_pump(&p->world, c, proxy_now(), &over);

		if (over) {
			*at = c->next;
			conn_free(&p->world, c);
			p->open--;
			continue;
		}
		next = wants < next ? wants : next;
		if (up == w->up.free_ns && down == w->down.free_ns) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		c->next = NULL;
		*last = c;
		last = &c->next;
	}
	*at = served;
	return next;
}

int main(int argc, char **argv)
{
	static struct proxy p = {.world = {.chance = 1}};

	for (int i = 1; i < argc;)
		i += 1 + proxy_option(&p, argv[i], argv + i + 1, argc - i - 1);
	if (!p.port || !p.world.server.sin_port || !p.counters)
		errx(2, "--listen, --to and --counters must be given");
	/* 0 would stay 0 for ever, and small seeds start alike */
	p.world.chance *= UINT64_C(0x9e3779b97f4a7c15);
	proxy_open(&p);
	printf("listening on 127.0.0.1:%u\n", p.port);
	fflush(stdout);
	while (!p.over)
		proxy_wait(&p, proxy_pump(&p));
	while (p.conns) {
		struct conn *c = p.conns;

		p.conns = c->next;
		conn_free(&p.world, c);
	}
	proxy_report(&p);
	return 0;
}
